// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/owed/dirty_map.hpp"

#include <roaring/roaring.h>

#include <algorithm>
#include <new>
#include <utility>

namespace fanout {

namespace {

#ifndef HAVE_ROARING_ITERATOR_INIT
// The names that CRoaring 2 has given them.
void roaring_iterator_init(const roaring_bitmap_t *bitmap, roaring_uint32_iterator_t *it) {
  roaring_init_iterator(bitmap, it);
}
bool roaring_uint32_iterator_advance(roaring_uint32_iterator_t *it) {
  return roaring_advance_uint32_iterator(it);
}
bool roaring_uint32_iterator_move_equalorlarger(roaring_uint32_iterator_t *it, uint32_t value) {
  return roaring_move_uint32_iterator_equalorlarger(it, value);
}
#endif

template <typename Pointer>
roaring_bitmap_t *get(const Pointer &bitmap) {
  return static_cast<roaring_bitmap_t *>(bitmap.get());
}

roaring_bitmap_t *checked(roaring_bitmap_t *bitmap) {
  if (bitmap == nullptr) throw std::bad_alloc();
  return bitmap;
}

// The blocks that a range touches: [first, end).
struct Blocks {
  explicit Blocks(Range range)
      : first(range.offset / DirtyMap::block),
        end(range.empty() ? first : (range.end() - 1) / DirtyMap::block + 1) {}
  uint64_t first, end;
};

}  // namespace

void DirtyMap::Free::operator()(void *bitmap) const {
  roaring_bitmap_free(static_cast<roaring_bitmap_t *>(bitmap));
}

DirtyMap::DirtyMap() : bitmap_(checked(roaring_bitmap_create())) {}
DirtyMap::DirtyMap(const DirtyMap &other)
    : bitmap_(checked(roaring_bitmap_copy(get(other.bitmap_)))) {}
// The moved-from map is empty and usable.
DirtyMap::DirtyMap(DirtyMap &&other) noexcept : DirtyMap() {
  std::swap(bitmap_, other.bitmap_);
}
DirtyMap &DirtyMap::operator=(DirtyMap other) noexcept {
  std::swap(bitmap_, other.bitmap_);
  return *this;
}
DirtyMap::~DirtyMap() = default;

bool DirtyMap::empty() const {
  return roaring_bitmap_is_empty(get(bitmap_));
}
uint64_t DirtyMap::blocks() const {
  return roaring_bitmap_get_cardinality(get(bitmap_));
}
bool DirtyMap::operator==(const DirtyMap &other) const {
  return roaring_bitmap_equals(get(bitmap_), get(other.bitmap_));
}

void DirtyMap::add(Range range) {
  Blocks b(range);
  roaring_bitmap_add_range(get(bitmap_), b.first, b.end);
}
void DirtyMap::add(const DirtyMap &other) {
  roaring_bitmap_or_inplace(get(bitmap_), get(other.bitmap_));
}
void DirtyMap::remove(Range range) {
  Blocks b(range);
  roaring_bitmap_remove_range(get(bitmap_), b.first, b.end);
}
void DirtyMap::keep_only(const DirtyMap &other) {
  roaring_bitmap_and_inplace(get(bitmap_), get(other.bitmap_));
}
void DirtyMap::clear() {
  *this = DirtyMap();
}

bool DirtyMap::contains(Range range) const {
  Blocks b(range);
  return b.first == b.end || roaring_bitmap_contains_range(get(bitmap_), b.first, b.end);
}

bool DirtyMap::intersects(Range range) const {
  Blocks b(range);
  if (b.first == b.end) return false;
  roaring_uint32_iterator_t it;
  roaring_iterator_init(get(bitmap_), &it);
  return roaring_uint32_iterator_move_equalorlarger(&it, static_cast<uint32_t>(b.first)) &&
         it.current_value < b.end;
}

Range DirtyMap::next(uint64_t from, uint64_t most) const {
  uint64_t start = from / block;
  roaring_uint32_iterator_t it;
  roaring_iterator_init(get(bitmap_), &it);
  if (start > UINT32_MAX ||
      !roaring_uint32_iterator_move_equalorlarger(&it, static_cast<uint32_t>(start))) {
    return {};
  }
  uint64_t first = it.current_value;
  uint64_t end = first;
  const uint64_t limit = first + std::max<uint64_t>(most / block, 1);
  do {
    ++end;
  } while (end < limit && roaring_uint32_iterator_advance(&it) && it.current_value == end);
  return {first * block, (end - first) * block};
}

void DirtyMap::for_each(const std::function<void(Range)> &f) const {
  roaring_uint32_iterator_t it;
  roaring_iterator_init(get(bitmap_), &it);
  while (it.has_value) {
    uint64_t first = it.current_value;
    uint64_t end = first;
    do {
      ++end;
    } while (roaring_uint32_iterator_advance(&it) && it.current_value == end);
    f({first * block, (end - first) * block});
  }
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include "common/extents/frozen_map.hpp"

#include <algorithm>
#include <cassert>

#include "common/extents/extent_map.hpp"

namespace extents {

namespace {

constexpr size_t sum_stride = 64;

}  // namespace

FrozenMap::FrozenMap(const ExtentMap &map, uint32_t counted_types) : FrozenMap(counted_types) {
  map.for_each({0, map.size()}, [&](const Extent &e) {
    append(e.length, e.type);
    return true;
  });
}

void FrozenMap::append(uint64_t length, Type type) {
  assert(type < 8);
  if (length == 0) return;
  if (types_.empty() || types_.back() != type) {
    uint64_t page = size_ >> 32;
    if (pages_.empty() || pages_.back().number != page) pages_.push_back({page, starts_.size()});
    if (counted_types_ != 0 && starts_.size() % sum_stride == 0) sums_.push_back(counted_bytes_);
    starts_.push_back(static_cast<uint32_t>(size_));
    types_.push_back(static_cast<uint8_t>(type));
    all_starts_ |= size_;
  }
  size_ += length;
  if (is_counted(type)) counted_bytes_ += length;
}

void FrozenMap::append_until(uint64_t end, Type type) {
  if (end > size_) append(end - size_, type);
}

uint64_t FrozenMap::alignment() const {
  constexpr uint64_t largest = uint64_t{1} << 63;
  uint64_t all = all_starts_ | largest;
  return all & ~(all - 1);
}

size_t FrozenMap::end_of_page(size_t page) const {
  return page + 1 < pages_.size() ? pages_[page + 1].first : starts_.size();
}

FrozenMap::Cursor FrozenMap::find(uint64_t offset) const {
  assert(offset < size_);
  uint64_t number = offset >> 32;
  auto above = std::upper_bound(pages_.begin(), pages_.end(), number,
                                [](uint64_t n, const Page &p) { return n < p.number; });
  auto page = static_cast<size_t>(above - pages_.begin()) - 1;
  size_t end = end_of_page(page);
  if (pages_[page].number < number) return {page, end - 1};
  auto begin = starts_.begin();
  auto next = std::upper_bound(begin + static_cast<ptrdiff_t>(pages_[page].first),
                               begin + static_cast<ptrdiff_t>(end), static_cast<uint32_t>(offset));
  auto index = static_cast<size_t>(next - begin) - 1;
  return {index < pages_[page].first ? page - 1 : page, index};
}

FrozenMap::Cursor FrozenMap::next(Cursor c) const {
  ++c.index;
  if (c.index == end_of_page(c.page)) ++c.page;
  return c;
}

Extent FrozenMap::extent(const Cursor &c) const {
  uint64_t begin = start(c);
  uint64_t end = c.index + 1 < starts_.size() ? start(next(c)) : size_;
  return {begin, end - begin, types_[c.index]};
}

bool FrozenMap::for_each(Range range, const std::function<bool(const Extent &)> &f) const {
  if (range.empty() || range.offset >= size_) return true;
  range.length = std::min(range.length, size_ - range.offset);
  for (Cursor c = find(range.offset); c.index < starts_.size(); c = next(c)) {
    Extent whole = extent(c);
    if (whole.offset >= range.end()) return true;
    Range part = intersect(whole.range(), range);
    if (!f({part.offset, part.length, whole.type})) return false;
  }
  return true;
}

std::vector<Extent> FrozenMap::slice(Range range) const {
  std::vector<Extent> list;
  for_each(range, [&](const Extent &e) {
    list.push_back(e);
    return true;
  });
  return list;
}

uint64_t FrozenMap::counted_before(uint64_t offset) const {
  if (offset >= size_) return counted_bytes_;
  Cursor here = find(offset);
  size_t first = here.index / sum_stride * sum_stride;
  auto above = std::upper_bound(pages_.begin(), pages_.end(), first,
                                [](size_t n, const Page &p) { return n < p.first; });
  Cursor c{static_cast<size_t>(above - pages_.begin()) - 1, first};
  uint64_t sum = sums_[first / sum_stride];
  uint64_t begin = start(c);
  while (c.index < here.index) {
    Type type = types_[c.index];
    c = next(c);
    uint64_t end = start(c);
    if (is_counted(type)) sum += end - begin;
    begin = end;
  }
  return is_counted(types_[c.index]) ? sum + (offset - begin) : sum;
}

uint64_t FrozenMap::counted_bytes(Range range) const {
  if (range.empty() || range.offset >= size_ || counted_types_ == 0) return 0;
  range.length = std::min(range.length, size_ - range.offset);
  return counted_before(range.end()) - counted_before(range.offset);
}

}  // namespace extents

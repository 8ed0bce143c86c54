// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/delta_map.hpp"

#include <algorithm>
#include <cassert>

namespace apply {

using extents::Range;

namespace {

constexpr size_t stride = 64;  // of sums_

Kind kind_of(extents::Type type) {
  if (type == (extents::hole | extents::zero)) return Kind::outside;
  return type == extents::zero ? Kind::zero : Kind::data;
}

}  // namespace

Mask::Mask(const extents::ExtentMap &view) {
  view.for_each({0, view.size()}, [&](const extents::Extent &e) {
    append(e.length, e.type);
    return true;
  });
}

void Mask::append(uint64_t length, extents::Type type) {
  if (length == 0) return;
  Kind kind = kind_of(type);
  if (kinds_.empty() || kinds_.back() != kind) {
    uint64_t page = size_ >> 32;
    if (pages_.empty() || pages_.back().number != page) pages_.push_back({page, starts_.size()});
    if (starts_.size() % stride == 0) sums_.push_back(delta_bytes_);
    starts_.push_back(static_cast<uint32_t>(size_));
    kinds_.push_back(kind);
    all_starts_ |= size_;
  }
  size_ += length;
  if (kind != Kind::outside) delta_bytes_ += length;
}

uint64_t Mask::alignment() const {
  constexpr uint64_t largest = uint64_t{1} << 63;
  uint64_t all = all_starts_ | largest;
  return all & ~(all - 1);
}

size_t Mask::first_after(size_t page) const {
  return page + 1 < pages_.size() ? pages_[page + 1].first : starts_.size();
}

Mask::Cursor Mask::find(uint64_t offset) const {
  assert(offset < size_);
  uint64_t number = offset >> 32;
  auto above = std::upper_bound(pages_.begin(), pages_.end(), number,
                                [](uint64_t n, const Page &p) { return n < p.number; });
  auto page = static_cast<size_t>(above - pages_.begin()) - 1;
  size_t end = first_after(page);
  if (pages_[page].number < number) return {page, end - 1};
  auto begin = starts_.begin();
  auto next = std::upper_bound(begin + static_cast<ptrdiff_t>(pages_[page].first),
                               begin + static_cast<ptrdiff_t>(end), static_cast<uint32_t>(offset));
  auto index = static_cast<size_t>(next - begin) - 1;
  return {index < pages_[page].first ? page - 1 : page, index};
}

Mask::Cursor Mask::next(Cursor c) const {
  ++c.index;
  if (c.index == first_after(c.page)) ++c.page;
  return c;
}

Piece Mask::piece(const Cursor &c) const {
  uint64_t begin = start(c);
  uint64_t end = c.index + 1 < starts_.size() ? start(next(c)) : size_;
  return {{begin, end - begin}, kinds_[c.index]};
}

Piece Mask::at(uint64_t offset) const {
  if (offset >= size_) return {{size_, UINT64_MAX - size_}, Kind::outside};
  return piece(find(offset));
}

bool Mask::for_each(Range range, const std::function<bool(const Piece &)> &f) const {
  if (range.empty()) return true;
  if (range.offset < size_) {
    for (Cursor c = find(range.offset); c.index < starts_.size(); c = next(c)) {
      Piece whole = piece(c);
      if (whole.range.offset >= range.end()) return true;
      if (!f({extents::intersect(whole.range, range), whole.kind})) return false;
    }
  }
  uint64_t beyond = std::max(range.offset, size_);
  return beyond >= range.end() || f({{beyond, range.end() - beyond}, Kind::outside});
}

uint64_t Mask::delta_before(uint64_t offset) const {
  if (offset >= size_) return delta_bytes_;
  Cursor here = find(offset);
  size_t first = here.index / stride * stride;
  auto above = std::upper_bound(pages_.begin(), pages_.end(), first,
                                [](size_t n, const Page &p) { return n < p.first; });
  Cursor c{static_cast<size_t>(above - pages_.begin()) - 1, first};
  uint64_t sum = sums_[first / stride];
  uint64_t begin = start(c);
  while (c.index < here.index) {
    Kind kind = kinds_[c.index];
    c = next(c);
    uint64_t end = start(c);
    if (kind != Kind::outside) sum += end - begin;
    begin = end;
  }
  return kinds_[c.index] == Kind::outside ? sum : sum + (offset - begin);
}

uint64_t Mask::delta_bytes(Range range) const {
  return range.empty() ? 0 : delta_before(range.end()) - delta_before(range.offset);
}

}  // namespace apply

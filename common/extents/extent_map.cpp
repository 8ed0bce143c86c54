// SPDX-License-Identifier: BSD-3-Clause
#include "common/extents/extent_map.hpp"

#include <cassert>
#include <iterator>

namespace extents {

ExtentMap::ExtentMap(uint64_t size, Type type) : size_(size) {
  if (size_ > 0) starts_.emplace(0, type);
}

Range ExtentMap::clip(Range range) const {
  if (range.offset >= size_) return {size_, 0};
  return {range.offset, std::min(range.length, size_ - range.offset)};
}

void ExtentMap::set(Range wanted, Type type) {
  Range range = clip(wanted);
  if (range.empty()) return;

  // What holds beyond the range must be written down before it is erased.
  if (range.end() < size_) {
    Type after = std::prev(starts_.upper_bound(range.end()))->second;
    starts_.insert_or_assign(range.end(), after);
  }
  auto first = starts_.lower_bound(range.offset);
  auto last = starts_.lower_bound(range.end());
  auto next = starts_.erase(first, last);
  if (next != starts_.end() && next->second == type) next = starts_.erase(next);
  if (next == starts_.begin() || std::prev(next)->second != type) {
    starts_.emplace_hint(next, range.offset, type);
  }
}

Extent ExtentMap::at(uint64_t offset) const {
  assert(offset < size_);
  auto next = starts_.upper_bound(offset);
  auto here = std::prev(next);
  uint64_t end = next == starts_.end() ? size_ : next->first;
  return {here->first, end - here->first, here->second};
}

void ExtentMap::for_each(Range wanted, const std::function<bool(const Extent &)> &f) const {
  Range range = clip(wanted);
  if (range.empty()) return;
  auto here = std::prev(starts_.upper_bound(range.offset));
  while (here != starts_.end() && here->first < range.end()) {
    auto next = std::next(here);
    uint64_t start = std::max(here->first, range.offset);
    uint64_t end = std::min(next == starts_.end() ? size_ : next->first, range.end());
    if (!f({start, end - start, here->second})) return;
    here = next;
  }
}

std::vector<Extent> ExtentMap::slice(Range range) const {
  std::vector<Extent> list;
  for_each(range, [&](const Extent &e) {
    list.push_back(e);
    return true;
  });
  return list;
}

}  // namespace extents

// SPDX-License-Identifier: BSD-3-Clause
#include "common/extents/range_set.hpp"

namespace extents {

RangeSet::RangeSet(uint64_t size) : map_(size, 0) {}

void RangeSet::put(Range range, bool in) {
  split(range, [&](Range part, bool was) {
    if (in && !was) bytes_ += part.length;
    if (!in && was) bytes_ -= part.length;
    return true;
  });
  map_.set(range, in ? 1 : 0);
}

void RangeSet::add(const RangeSet &other) {
  for (const Range &range : other.ranges()) add(range);
}

void RangeSet::subtract(const RangeSet &other) {
  for (const Range &range : other.ranges()) subtract(range);
}

bool RangeSet::contains(Range range) const {
  bool all = range.empty() || (range.offset < size() && range.length <= size() - range.offset);
  split(range, [&](Range, bool in) { return all = all && in; });
  return all;
}

bool RangeSet::intersects(Range range) const {
  bool any = false;
  split(range, [&](Range, bool in) {
    any = in;
    return !any;
  });
  return any;
}

void RangeSet::split(Range range, const std::function<bool(Range, bool)> &f) const {
  map_.for_each(range, [&](const Extent &e) { return f(e.range(), e.type != 0); });
}

std::vector<Range> RangeSet::ranges(Range within) const {
  std::vector<Range> list;
  split(within, [&](Range part, bool in) {
    if (in) list.push_back(part);
    return true;
  });
  return list;
}

}  // namespace extents

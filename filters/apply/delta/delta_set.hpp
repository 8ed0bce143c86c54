// SPDX-License-Identifier: BSD-3-Clause
//
// A subset of the delta: what has arrived, what is durable.
#pragma once

#include <cstdint>
#include <functional>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// A set of bytes, of which only those in the delta count. The gap between two areas of the delta is
// included with its neighbours. So a copy that runs from one end of the disk to the other is one
// range, however many areas the delta has. Not synchronised: many readers or one writer at a time.
class DeltaSet {
 public:
  // Empty. The map must outlive it.
  explicit DeltaSet(const DeltaMap &map) : map_(&map), set_(map.size()) {}

  uint64_t bytes() const { return bytes_; }  // of the delta, in the set
  bool empty() const { return bytes_ == 0; }

  void add(extents::Range range);
  void add(const DeltaSet &other);
  void subtract(extents::Range range);
  void intersect(const DeltaSet &other);  // of the same map

  // Calls f(part, in) for the parts of a range, in order, until f returns false.
  void split(extents::Range range, const std::function<bool(extents::Range, bool in)> &f) const {
    set_.split(range, f);
  }
  // Whether at least one byte is in the set. The range must be in the delta.
  bool intersects(extents::Range range) const { return set_.intersects(range); }

  // Calls f for the areas of the delta that are not in the set, in order, from an offset on, until
  // f returns false. A range of the set costs the same, however many areas it covers.
  void for_each_missing(uint64_t from, const std::function<bool(const Area &)> &f) const;
  // The same as maximal ranges, of whatever kind.
  void for_each_missing_range(const std::function<void(extents::Range)> &f) const;

 private:
  const DeltaMap *map_;
  extents::RangeSet set_;
  uint64_t bytes_ = 0;
};

}  // namespace apply

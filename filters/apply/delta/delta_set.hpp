// SPDX-License-Identifier: BSD-3-Clause
//
// A part of the delta: what has arrived, what is settled.
#pragma once

#include <cstdint>
#include <functional>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// A set of bytes of which only those inside the delta have a meaning. What lies between two areas of
// the delta is taken in with them, so that however many areas there are, a copy from one end to the
// other is one range. Not synchronised: many readers or one writer at a time.
class DeltaSet {
 public:
  // Empty at first. The mask must outlive it.
  explicit DeltaSet(const Mask &mask) : mask_(&mask), set_(mask.size()) {}

  uint64_t bytes() const { return bytes_; }  // of the delta, that are in the set
  bool empty() const { return bytes_ == 0; }

  void add(extents::Range range);
  void add(const DeltaSet &other);
  void subtract(extents::Range range);

  // Calls f(part, in) for the parts of a range, in order, until f returns false.
  void split(extents::Range range, const std::function<bool(extents::Range, bool in)> &f) const {
    set_.split(range, f);
  }
  // At least one byte of a range inside the delta.
  bool intersects(extents::Range range) const { return set_.intersects(range); }

  // Calls f for the pieces of the delta that are not in the set, in order, from an offset on, until f
  // returns false. Takes no longer for what is in the set in one range.
  void for_each_missing(uint64_t from, const std::function<bool(const Piece &)> &f) const;
  // The same as ranges, the longest there are, whatever their kind.
  void for_each_owed(const std::function<void(extents::Range)> &f) const;

 private:
  const Mask *mask_;
  extents::RangeSet set_;
  uint64_t bytes_ = 0;
};

}  // namespace apply

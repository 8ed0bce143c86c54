// SPDX-License-Identifier: BSD-3-Clause
//
// A set of bytes of a disk: what is owed, what was written, what is being fetched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/extents/extent_map.hpp"

namespace extents {

// Not synchronised: many readers or one writer at a time. Costs as ExtentMap.
class RangeSet {
 public:
  // Of a disk of `size` bytes; empty at first. What lies beyond the size is ignored everywhere.
  explicit RangeSet(uint64_t size);

  uint64_t size() const { return map_.size(); }  // bytes of the disk
  uint64_t bytes() const { return bytes_; }      // bytes in the set
  bool empty() const { return bytes_ == 0; }

  void add(Range range) { put(range, true); }
  void subtract(Range range) { put(range, false); }
  // The same with each range of another set, which is of the same disk.
  void add(const RangeSet &other);
  void subtract(const RangeSet &other);

  bool contains(Range range) const;    // every byte of it; true for an empty range
  bool intersects(Range range) const;  // at least one byte of it

  // Calls f(range, in) for the parts of `range` that are in the set and those that are not, in
  // order, until f returns false.
  void split(Range range, const std::function<bool(Range, bool in)> &f) const;

  // The ranges in the set, in order, none touching the next; all of them, or those within `within`,
  // clipped.
  std::vector<Range> ranges() const { return ranges({0, size()}); }
  std::vector<Range> ranges(Range within) const;

 private:
  void put(Range range, bool in);
  ExtentMap map_;  // type 1: in the set
  uint64_t bytes_ = 0;
};

}  // namespace extents

// SPDX-License-Identifier: BSD-3-Clause
//
// The delta as the view's map shows it: which bytes of the destination may be changed, and what the
// source holds there (nbdkit-replicate-delta(7)).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/extent_map.hpp"
#include "common/extents/range_set.hpp"

namespace apply {

enum class Kind {
  outside,  // HOLE|ZERO in the view, or beyond the source's end: not in the delta
  data,     // in the delta; only the source knows the bytes
  zero,     // in the delta, ZERO without HOLE: it has become zero
};

struct Piece {
  extents::Range range;
  Kind kind;
  bool operator==(const Piece &) const = default;
};

// Never changes once made: any thread may use it.
class Mask {
 public:
  explicit Mask(const extents::ExtentMap &view);

  uint64_t size() const { return map_.size(); }  // of the source, in bytes
  const extents::RangeSet &delta() const { return delta_; }

  // Calls f for the pieces of the range, in order, each as long as its kind lasts.
  void split(extents::Range range, const std::function<void(const Piece &)> &f) const;

  // The pieces of all the ranges, as a list.
  std::vector<Piece> pieces(const std::vector<extents::Range> &ranges) const;

 private:
  extents::ExtentMap map_;  // the type is a Kind
  extents::RangeSet delta_;
};

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// What to read in one piece.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

// All in bytes.
struct Shape {
  uint64_t gap = 0;    // what is not wanted is read along if it is no longer than this
  uint64_t chunk = 0;  // no piece is longer; pieces also end at its multiples
  uint64_t align = 1;  // a power of two: pieces begin and end at its multiples
};

// Whether a client will read such an extent. A hole is not wanted even if its content is not known
// to be zero: so a source that knows what has changed shows the rest of the disk.
constexpr bool wanted(extents::Type type) {
  return type == extents::data;
}

constexpr uint64_t round_down(uint64_t n, uint64_t align) {
  return n - n % align;
}

// The pieces that cover every wanted byte from `position` on, each once, in order. The extents may
// come in any order and touch or overlap each other; what none of them says anything of is a gap, and
// nothing before the first or after the last is planned. Pieces end at multiples of Shape::chunk,
// whatever the position, so that two readers get to the same ones.
std::vector<extents::Range> plan(std::span<const extents::Extent> extents, const Shape &shape,
                                 uint64_t position);

// The extents (in order, each where the last one ends) with every hole that is no longer than `gap`
// and has data on both sides made a part of that data.
std::vector<extents::Extent> merge_gaps(std::span<const extents::Extent> extents, uint64_t gap);

}  // namespace coalesce

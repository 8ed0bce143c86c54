// SPDX-License-Identifier: BSD-3-Clause
//
// Which ranges to read from the layer below for given extents.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

// In bytes.
struct PlanLimits {
  uint64_t gap = 0;    // a gap between data of at most this length is read with the data
  uint64_t chunk = 0;  // no piece is longer, and none crosses a multiple of it
  uint64_t align = 1;  // a power of two: pieces begin and end at its multiples
};

// Whether clients are expected to read such an extent. They are not expected to read a hole even if
// its content is not known to be zero: a source that knows what has changed shows the rest of the disk
// so.
constexpr bool is_data(extents::Type type) {
  return type == extents::data;
}

constexpr uint64_t round_down(uint64_t n, uint64_t align) {
  return n - n % align;
}

// The pieces that cover each byte of data from `position` on once, in order. The extents may come in
// any order, touch and overlap. A range that none of them covers is a gap; nothing before the first or
// after the last extent is planned. As pieces end at multiples of PlanLimits::chunk wherever they
// begin, two streams at different positions arrive at the same pieces.
std::vector<extents::Range> plan_pieces(std::span<const extents::Extent> extents,
                                        const PlanLimits &limits, uint64_t position);

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/planner.hpp"

namespace coalesce {

namespace {

uint64_t round_down(uint64_t n, uint64_t align) {
  return n - n % align;
}
uint64_t round_up(uint64_t n, uint64_t align) {
  return round_down(n + (align - 1), align);
}

}  // namespace

std::vector<extents::Range> plan(std::span<const extents::Extent> extents, const Shape &shape,
                                 uint64_t position) {
  std::vector<extents::Range> pieces;
  if (extents.empty()) return pieces;
  uint64_t first = std::max(position, extents.front().offset);
  const uint64_t limit = extents.back().end();

  for (const auto &extent : extents) {
    if (!wanted(extent.type) || extent.end() <= first) continue;
    // `first` is also the end of the last piece, which an aligned start must not go behind.
    uint64_t start = std::max(first, round_down(extent.offset, shape.align));
    uint64_t end = std::min(limit, round_up(extent.end(), shape.align));
    while (start < end) {
      uint64_t cell = round_down(start, shape.chunk);
      uint64_t stop = std::min(end, cell + shape.chunk);
      bool joins = !pieces.empty() && pieces.back().offset >= cell &&
                   start - pieces.back().end() <= shape.gap;
      if (joins) {
        pieces.back().length = stop - pieces.back().offset;
      } else {
        pieces.push_back({start, stop - start});
      }
      start = stop;
    }
    first = std::max(first, end);
  }
  return pieces;
}

}  // namespace coalesce

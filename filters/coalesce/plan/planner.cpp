// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/plan/planner.hpp"

#include <algorithm>

namespace coalesce {

namespace {

uint64_t round_up(uint64_t n, uint64_t align) {
  return round_down(n + (align - 1), align);
}

// The ranges of data, in order, none touching the next.
std::vector<extents::Range> data_ranges(std::span<const extents::Extent> extents) {
  std::vector<extents::Range> list;
  for (const auto &e : extents) {
    if (is_data(e.type) && e.length > 0) list.push_back(e.range());
  }
  auto before = [](const auto &a, const auto &b) { return a.offset < b.offset; };
  if (!std::is_sorted(list.begin(), list.end(), before)) {
    std::sort(list.begin(), list.end(), before);
  }
  size_t count = 0;
  for (const auto &range : list) {
    if (count > 0 && range.offset <= list[count - 1].end()) {
      uint64_t end = std::max(range.end(), list[count - 1].end());
      list[count - 1].length = end - list[count - 1].offset;
    } else {
      list[count++] = range;
    }
  }
  list.resize(count);
  return list;
}

}  // namespace

std::vector<extents::Range> plan_pieces(std::span<const extents::Extent> extents,
                                        const PlanLimits &limits, uint64_t position) {
  std::vector<extents::Range> pieces;
  if (extents.empty()) return pieces;
  uint64_t begin = extents.front().offset, limit = 0;
  for (const auto &e : extents) {
    begin = std::min(begin, e.offset);
    limit = std::max(limit, e.end());
  }
  uint64_t first = std::max(position, begin);

  for (const auto &extent : data_ranges(extents)) {
    if (extent.end() <= first) continue;
    // `first` is also the end of the last piece: rounding down must not go below it.
    uint64_t start = std::max(first, round_down(extent.offset, limits.align));
    uint64_t end = std::min(limit, round_up(extent.end(), limits.align));
    while (start < end) {
      uint64_t chunk_start = round_down(start, limits.chunk);
      uint64_t stop = std::min(end, chunk_start + limits.chunk);
      bool joins = !pieces.empty() && pieces.back().offset >= chunk_start &&
                   start - pieces.back().end() <= limits.gap;
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

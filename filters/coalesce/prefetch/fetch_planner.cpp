// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/prefetch/fetch_planner.hpp"

#include <algorithm>

#include "filters/coalesce/plan/planner.hpp"

namespace coalesce {

FetchPlanner::FetchPlanner(const Settings &settings, const KnownExtents &extents,
                           const ChunkCache &cache)
    : settings_(settings),
      extents_(extents),
      cache_(cache),
      already_read_(settings.size),
      failed_(settings.size) {}

uint64_t FetchPlanner::align(const Stream &stream) const {
  return std::min(std::max(settings_.block, stream.request_align), settings_.chunk);
}

std::vector<extents::Range> FetchPlanner::pieces(const Stream &stream, uint64_t position,
                                                 uint64_t gap) const {
  uint64_t end = std::min(settings_.size, round_down(position, settings_.chunk) + settings_.chunk);
  auto known = extents_.known({position, end - position});
  return plan_pieces(known, PlanLimits{gap, settings_.chunk, align(stream)}, position);
}

std::vector<extents::Range> FetchPlanner::missing(const Stream &stream,
                                                  extents::Range piece) const {
  const uint64_t alignment = align(stream);
  std::vector<extents::Range> list;
  // What is left of a piece may begin or end with a gap, or hold no data at all.
  auto add = [&](extents::Range left) {
    uint64_t start = left.end(), end = left.offset;
    for (const auto &e : extents_.known(left)) {
      if (!is_data(e.type)) continue;
      start = std::min(start, round_down(e.offset, alignment));
      end = round_down(e.end() + alignment - 1, alignment);
    }
    start = std::max(start, left.offset);
    end = std::min(end, left.end());
    if (start < end) list.push_back({start, end - start});
    return true;
  };
  for (const auto &part : cache_.split(piece)) {
    if (part.chunk) continue;
    failed_.split(part.range, [&](extents::Range range, bool failed) {
      if (failed) return true;
      if (stream.rereads) return add(range);
      already_read_.split(range, [&](extents::Range r, bool read) { return read || add(r); });
      return true;
    });
  }
  return list;
}

uint64_t FetchPlanner::first_unknown(extents::Range range) const {
  const uint64_t end =
      std::min(settings_.size, round_down(range.offset, settings_.chunk) + settings_.chunk);
  auto known = extents_.known({range.offset, end - range.offset});
  const uint64_t at = known.empty() ? range.offset : known.back().end();
  return at < end ? at : settings_.size;
}

uint64_t FetchPlanner::data_between(uint64_t from, uint64_t to, uint64_t limit) const {
  constexpr uint64_t too_much = ~uint64_t{0};
  constexpr int max_extents = 256;  // to look at
  uint64_t bytes = 0;
  for (int i = 0; from < to; ++i) {
    extents::Extent e = extents_.at(from);
    if (i > max_extents || e.type == KnownExtents::unknown) return too_much;
    uint64_t end = std::min(e.end(), to);
    if (is_data(e.type)) bytes += end - from;
    if (bytes > limit) return too_much;
    from = end;
  }
  return bytes;
}

void FetchPlanner::was_read(extents::Range range) {
  if (++reads_recorded_ % max_reads_recorded == 0) {
    already_read_ = extents::RangeSet(settings_.size);
  }
  already_read_.add(range);
}

bool FetchPlanner::already_read(extents::Range range) const {
  return !already_read_.empty() && already_read_.contains(range);
}

}  // namespace coalesce

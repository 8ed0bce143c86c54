// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/zero_filler.hpp"

#include <algorithm>
#include <memory>

namespace apply {

using extents::Range;

namespace {

constexpr uint64_t read_length = 1u << 20;  // bytes; the two are the limits of are_zero()
constexpr size_t read_batch = 16;
constexpr uint64_t zero_length = 32u << 20;

// Calls f for parts, of at most so many bytes, of the missing areas of one kind, in order, until f
// returns false.
void cut(const ZeroFiller::Missing &missing, Kind kind, uint64_t length,
         const std::function<bool(Range)> &f) {
  uint64_t from = 0;
  for (auto areas = missing(from); !areas.empty(); areas = missing(from)) {
    for (const Area &area : areas) {
      if (area.kind != kind) continue;
      for (uint64_t at = area.range.offset; at < area.range.end(); at += length) {
        if (!f({at, std::min(length, area.range.end() - at)})) return;
      }
    }
    from = areas.back().range.end();
  }
}

}  // namespace

ZeroFiller::Result ZeroFiller::fill(const Missing &missing, const Zero &zero) {
  // What needs no source comes first: the source may be gone by now.
  bool stopped = false;
  cut(missing, Kind::zero, zero_length, [&](Range range) {
    stopped = stop_();
    if (!stopped) zero(range);
    return !stopped;
  });
  if (stopped) return {End::interrupted};
  return check_data(missing, zero);
}

ZeroFiller::Result ZeroFiller::check_data(const Missing &missing, const Zero &f) {
  std::unique_ptr<DiskBytes> source;
  std::vector<Range> batch;
  Result result{End::finished};
  cut(missing, Kind::data, read_length, [&](Range range) {
    if (!source) {
      source = source_.connect(view_);
      if (!source) {
        result = {End::unreadable, range.offset};
        return false;
      }
    }
    batch.push_back(range);
    if (batch.size() < read_batch) return true;
    result = check_batch(*source, batch, f);
    batch.clear();
    return result.end == End::finished;
  });
  if (result.end == End::finished && !batch.empty()) result = check_batch(*source, batch, f);
  return result;
}

ZeroFiller::Result ZeroFiller::check_batch(DiskBytes &source, std::span<const Range> batch,
                                           const Zero &f) {
  if (stop_()) return {End::interrupted};
  std::vector<bool> zero = are_zero(source, batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!zero[i]) return {End::left_early, batch[i].offset};
    f(batch[i]);
  }
  return {End::finished};
}

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/order/fetch_order.hpp"

#include <algorithm>

namespace pull {

using extents::Range;

namespace {

constexpr uint64_t most_zeroes = 128u << 20;  // bytes of a job; clients' changes there wait for it
constexpr size_t most_wanted = 256;           // ranges: the oldest ones are forgotten

}  // namespace

void FetchOrder::want(Range range) {
  if (wanted_.size() == most_wanted) wanted_.pop_front();
  wanted_.push_back(extents::intersect(range, {0, size_}));
}

void FetchOrder::defer(uint64_t offset, Clock::time_point until, bool last) {
  deferred_[chunk_of(offset).offset] = {until, last};
  rest_from_ = std::min(rest_from_, offset);
}

Range FetchOrder::chunk_of(uint64_t offset) const {
  const uint64_t start = offset - offset % chunk_;
  return {start, std::min(chunk_, size_ - start)};
}

bool FetchOrder::is_deferred(uint64_t offset) const {
  return deferred_.contains(chunk_of(offset).offset);
}

std::optional<ChunkJob> FetchOrder::next(const DiskView &disk, Clock::time_point now, bool rest) {
  auto is_over = [now](const auto &entry) { return entry.second.until <= now; };
  std::erase_if(deferred_, [&](const auto &e) { return is_over(e) && !e.second.last; });
  if (auto job = next_not_deferred(disk, rest)) return job;
  // Without the rest nobody knows whether there is another one.
  if (!rest || std::erase_if(deferred_, is_over) == 0) return std::nullopt;
  return next_not_deferred(disk, rest);
}

std::optional<ChunkJob> FetchOrder::next_not_deferred(const DiskView &disk, bool rest) {
  while (!wanted_.empty()) {
    if (auto job = first_chunk(disk, wanted_.front(), ChunkJob::Why::waited_for)) return job;
    wanted_.pop_front();
  }
  for (const Range &range : priority_) {
    if (auto job = first_chunk(disk, range, ChunkJob::Why::priority)) return job;
  }
  for (uint64_t end : streams_.ends()) {
    if (auto job = first_chunk(disk, {end, ahead_}, ChunkJob::Why::ahead)) return job;
  }
  if (!rest) return std::nullopt;
  const Range first = disk.first_missing({rest_from_, size_ - rest_from_});
  rest_from_ = first.empty() ? 0 : first.offset;  // what was lost since lies before it
  return next_rest(disk, {rest_from_, size_ - rest_from_});
}

std::optional<ChunkJob> FetchOrder::first_chunk(const DiskView &disk, Range within,
                                                ChunkJob::Why why) const {
  Range rest = extents::intersect(within, {0, size_});
  while (!rest.empty()) {
    const Range missing = disk.first_missing(rest);
    if (missing.empty()) return std::nullopt;
    const Range chunk = chunk_of(missing.offset);
    if (!is_deferred(missing.offset) && !disk.is_fetched_now(chunk))
      return ChunkJob{chunk, why, false};
    rest = {chunk.end(), rest.end() > chunk.end() ? rest.end() - chunk.end() : 0};
  }
  return std::nullopt;
}

std::optional<ChunkJob> FetchOrder::next_rest(const DiskView &disk, Range rest) const {
  while (!rest.empty()) {
    const Range missing = disk.first_missing(rest);
    if (missing.empty() || missing.offset >= disk.known()) return std::nullopt;
    const extents::Extent source = disk.source_at(missing.offset);
    Range range = chunk_of(missing.offset);
    const bool zeroes = (source.type & extents::zero) != 0;
    if (zeroes) {
      range = extents::intersect(missing, source.range());
      range.length = std::min(range.length, most_zeroes);
    }
    if (!is_deferred(missing.offset) && !disk.is_fetched_now(range)) {
      return ChunkJob{range, ChunkJob::Why::rest, zeroes};
    }
    rest = {range.end(), rest.end() - range.end()};
  }
  return std::nullopt;
}

}  // namespace pull

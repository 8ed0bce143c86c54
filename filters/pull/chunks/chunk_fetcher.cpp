// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/chunks/chunk_fetcher.hpp"

#include <algorithm>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/zero.hpp"

namespace pull {

using extents::Range;

namespace {

constexpr uint64_t zero_block = 64u << 10;  // bytes: zeroes are looked for in blocks of this size

// What is here already is not read again, unless there is little of it between what is missing.
constexpr uint64_t read_gap = 32u << 10;  // bytes
std::vector<Range> joined(std::span<const Range> missing) {
  std::vector<Range> parts;
  for (const Range &range : missing) {
    if (!parts.empty() && range.offset - parts.back().end() <= read_gap) {
      parts.back().length = range.end() - parts.back().offset;
    } else {
      parts.push_back(range);
    }
  }
  return parts;
}

// From the beginning of the range to where blocks of zeroes begin or end. is_zero: what it is.
struct Run {
  Range range;
  bool is_zero;
};
Run first_run(Range range, std::span<const std::byte> bytes) {
  Run run{{range.offset, 0}, false};
  while (run.range.length < range.length) {
    const uint64_t at = range.offset + run.range.length;
    const uint64_t count = std::min(zero_block - at % zero_block, range.end() - at);
    const bool is_zero = util::is_zero(bytes.subspan(run.range.length, count));
    if (run.range.length > 0 && is_zero != run.is_zero) break;
    run.is_zero = is_zero;
    run.range.length += count;
  }
  return run;
}

}  // namespace

// Only one thread fetches a range.
class ChunkFetcher::Claim {
 public:
  Claim(Presence &presence, Range range)
      : presence_(presence), range_(range), is_ours_(presence.try_begin(range)) {
    if (!is_ours_) presence_.wait_for_fetch(range);
  }
  ~Claim() {
    if (is_ours_) presence_.end(range_);
  }
  Claim(const Claim &) = delete;
  Claim &operator=(const Claim &) = delete;
  explicit operator bool() const { return is_ours_; }

 private:
  Presence &presence_;
  const Range range_;
  const bool is_ours_;
};

bool ChunkFetcher::fetch(Range range, Waiting waiting) {
  const Claim claim(presence_, range);
  if (!claim) return false;
  const auto missing = presence_.missing(range);
  if (missing.empty()) return true;
  const Range whole{missing.front().offset, missing.back().end() - missing.front().offset};
  Memory::Buffer buffer(memory_, whole.length);
  for (const Range &part : joined(missing)) {
    const auto bytes = buffer.bytes().subspan(part.offset - whole.offset, part.length);
    remote_.read(bytes, part.offset, waiting);
    counters_.fetched += part.length;
    (waiting == Waiting::client ? counters_.on_demand : counters_.in_background) += part.length;
    REPLICATE_SYNC_POINT("pull.fetched");
    store(part, bytes);
  }
  return true;
}

bool ChunkFetcher::fetch_zeroes(Range range) {
  const Claim claim(presence_, range);
  if (!claim) return false;
  const extents::RangeLock::Hold hold(changes_, range);
  const uint64_t failures = presence_.failed_flushes();
  for (const Range &part : presence_.missing(range)) {
    store_zeroes(part);
    presence_.fetched(part, failures);
  }
  return true;
}

void ChunkFetcher::store(Range range, std::span<const std::byte> bytes) {
  const extents::RangeLock::Hold hold(changes_, range);
  const uint64_t failures = presence_.failed_flushes();
  for (const Range &part : presence_.missing(range)) {
    for (Range rest = part; !rest.empty();) {
      const auto content = bytes.subspan(rest.offset - range.offset, rest.length);
      const Run run = first_run(rest, content);
      if (run.is_zero) {
        store_zeroes(run.range);
      } else {
        local_.write(content.first(run.range.length), run.range.offset, false);
      }
      rest = {run.range.end(), rest.end() - run.range.end()};
    }
    REPLICATE_SYNC_POINT("pull.stored");
    presence_.fetched(part, failures);
  }
}

// What reads as zeroes there is left as it is; not after a failed flush, which may have lost zeroes that are still read.
void ChunkFetcher::store_zeroes(Range range) {
  counters_.zeroes += range.length;
  if (presence_.failed_flushes() > 0) return local_.zero(range, LocalDisk::Hole::allowed, false);
  while (!range.empty()) {
    uint64_t end = range.offset;
    for (const extents::Extent &e : local_.extents(range)) {
      const Range part = extents::intersect(e.range(), range);
      if (part.empty() || part.offset != end) continue;
      if ((e.type & extents::zero) == 0) local_.zero(part, LocalDisk::Hole::allowed, false);
      end = part.end();
    }
    if (end == range.offset) return local_.zero(range, LocalDisk::Hole::allowed, false);
    range = {end, range.end() - end};
  }
}

}  // namespace pull

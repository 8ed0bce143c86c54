// SPDX-License-Identifier: BSD-3-Clause
//
// Which pieces of the disk are still to be fetched for a stream.
#pragma once

#include <cstdint>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"
#include "filters/coalesce/cache/chunk_cache.hpp"
#include "filters/coalesce/plan/known_extents.hpp"
#include "filters/coalesce/settings.hpp"
#include "filters/coalesce/stream/stream.hpp"

namespace coalesce {

// Takes the pieces that the extents ask for (plan/planner.hpp) and leaves out what is in the cache, what
// could not be read, and what a client has already read. Not synchronised.
class FetchPlanner {
 public:
  // All of them must outlive it.
  FetchPlanner(const Settings &settings, const KnownExtents &extents, const ChunkCache &cache);

  // The pieces from the position to the next multiple of Settings::chunk, as far as extents are known.
  // gap: PlanLimits::gap.
  std::vector<extents::Range> pieces(const Stream &stream, uint64_t position, uint64_t gap) const;
  // The parts of a piece that are to be fetched, in order, without the gaps at their ends.
  std::vector<extents::Range> missing(const Stream &stream, extents::Range piece) const;

  // The first byte with unknown extents between the start of the range and the next multiple of
  // Settings::chunk; the size of the disk if there is none.
  uint64_t first_unknown(extents::Range range) const;
  // The bytes of data between two offsets; ~0 if that is not known, or if there are more than `limit`.
  uint64_t data_between(uint64_t from, uint64_t to, uint64_t limit) const;

  // Records a read by a sequential stream. Streams skip the range from now on, unless they reread.
  void was_read(extents::Range range);
  bool already_read(extents::Range range) const;
  // Records a range that could not be fetched. It is not tried again ahead of a client.
  void fetch_failed(extents::Range range) { failed_.add(range); }

 private:
  // After so many reads already_read_ is cleared, so that it cannot grow without limit.
  static constexpr unsigned max_reads_recorded = 1u << 20;

  uint64_t align(const Stream &stream) const;

  const Settings &settings_;
  const KnownExtents &extents_;
  const ChunkCache &cache_;
  extents::RangeSet already_read_;
  extents::RangeSet failed_;
  unsigned reads_recorded_ = 0;
};

}  // namespace coalesce

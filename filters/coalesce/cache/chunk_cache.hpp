// SPDX-License-Identifier: BSD-3-Clause
//
// The chunks of one export, and when their memory is given back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "filters/coalesce/cache/chunk_map.hpp"
#include "filters/coalesce/cache/memory_budget.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/stream/stream_table.hpp"

namespace coalesce {

// A chunk leaves the cache, and its memory goes back to the budget once no request copies from it,
// when
// - clients have read all of its data,
// - its stream has moved past it by more than StreamTable::slack(),
// - its stream is stale or forgotten and another chunk needs the memory,
// - the share of this export has become smaller, as another export was opened,
// - its fetch has failed, or a write to the disk has made it stale.
// Keeps Stream::cached up to date. Not synchronised.
class ChunkCache {
 public:
  // The streams and the counters must outlive it.
  ChunkCache(uint64_t disk_size, MemoryBudget &budget, Counters &counters, StreamTable &streams)
      : disk_size_(disk_size),
        budget_(budget),
        counters_(counters),
        streams_(streams),
        share_(budget.limit()) {}

  // How many bytes of the budget this export may use.
  uint64_t share() const { return share_; }
  void set_share(uint64_t bytes);

  bool empty() const { return chunks_.empty(); }
  std::vector<ChunkMap::Part> split(extents::Range range) const { return chunks_.split(range); }
  Chunk::State state(const Chunk &chunk) const { return chunk.state_; }

  // A chunk in flight for the stream, or nullptr if there is no memory for it. `known`: the extents of
  // the range. Data in them is expected to be read.
  ChunkPtr add(Stream &stream, extents::Range range, std::span<const extents::Extent> known);
  // The fetch of the chunk has ended. Wakes the requests that wait for it. Returns whether it was
  // still in flight: a write may have made it stale.
  bool finish(const ChunkPtr &chunk, bool success);
  // A client has read the part. Returns whether memory was given back.
  bool mark_read(const ChunkPtr &chunk, extents::Range part);
  // Drops the chunks that the stream has moved past.
  void drop_passed(const Stream &stream);
  // Drops the chunks that a write to the range has made stale, and wakes the requests that wait for
  // them.
  void invalidate(extents::Range range);

 private:
  bool make_room(uint64_t bytes);
  void drop(const ChunkPtr &chunk);

  const uint64_t disk_size_;  // bytes
  MemoryBudget &budget_;
  Counters &counters_;
  StreamTable &streams_;
  ChunkMap chunks_;
  uint64_t share_;     // bytes
  uint64_t held_ = 0;  // bytes of all chunks in the cache
};

}  // namespace coalesce

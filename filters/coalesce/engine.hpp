// SPDX-License-Identifier: BSD-3-Clause
//
// The reads of the clients of one export.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "filters/coalesce/cache/memory_budget.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/lower_connection.hpp"
#include "filters/coalesce/prefetch/fetcher.hpp"
#include "filters/coalesce/prefetch/read_ahead.hpp"
#include "filters/coalesce/prefetch/workers.hpp"
#include "filters/coalesce/settings.hpp"

namespace coalesce {

// Answers small reads from chunks that were fetched ahead of them. Any number of threads may call it.
//
// nbdkit's threads call the public methods. A request does these reads in its own thread, through its
// own connection: what is in no chunk, and the one chunk that it claims. It waits for chunks that other
// threads are fetching, and queries extents if none are known where it reads. The worker threads do all
// other fetches and queries. ReadAhead decides which; its lock is the only one.
class Engine {
 public:
  // The budget and the counters may be shared with other engines and must outlive this one. Without
  // `connect` the workers use the connections that are attached.
  Engine(const Settings &settings, MemoryBudget &budget, Counters &counters, util::Log log,
         Workers::Connect connect = {});

  uint64_t size() const { return settings_.size; }  // of the disk; bytes
  // How much of the budget it may use, from now on.
  void set_share(uint64_t bytes);

  // See Workers. No request may be running on the connection when it is detached.
  void attach(LowerConnection &connection) { workers_.attach(connection); }
  void detach(LowerConnection &connection) noexcept { workers_.detach(connection); }

  // `connection` is that of the client that reads. Throws what it throws.
  void read(LowerConnection &connection, std::span<std::byte> buffer, uint64_t offset);

  // The extents of the range (below 4 GiB). The list may end early, but covers at least the first
  // byte. only_first: the first extent is enough; what is known is returned without asking for more.
  std::vector<extents::Extent> extents(LowerConnection &connection, extents::Range range,
                                       bool only_first = false);
  // The same with gaps of up to ReadAhead::gap() made data (see merge_gaps()), to the end of the range or
  // for 32 MiB, and for less while ReadAhead::trial().
  std::vector<extents::Extent> merged_extents(LowerConnection &connection, extents::Range range);

  // Must be called after a write to the layer below, even a failed one, before the write is answered.
  // A read that begins later sees nothing that was read from the range before.
  void invalidate(extents::Range range);

 private:
  // Where the bytes of a request come from.
  struct Lookup {
    std::vector<ChunkMap::Part> parts;
    ChunkPtr claimed;  // to be fetched by the request
  };
  Lookup look_up(LowerConnection &connection, extents::Range request);
  void count_hit(const Lookup &lookup) ABSL_EXCLUSIVE_LOCKS_REQUIRED(read_ahead_.mutex);
  bool copy(const ChunkMap::Part &part, std::span<std::byte> to);
  void mark_read(const ChunkMap::Part &part);

  const Settings settings_;
  Counters &counters_;
  ReadAhead read_ahead_;
  Fetcher fetcher_;
  Workers workers_;  // last: its threads use what is above
};

}  // namespace coalesce

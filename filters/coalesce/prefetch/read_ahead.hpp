// SPDX-License-Identifier: BSD-3-Clause
//
// Decides what is read ahead: for which stream, how far, and by which thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "filters/coalesce/cache/chunk_cache.hpp"
#include "filters/coalesce/cache/memory_budget.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/plan/known_extents.hpp"
#include "filters/coalesce/plan/read_cost.hpp"
#include "filters/coalesce/plan/slow_read_detector.hpp"
#include "filters/coalesce/plan/step_aside.hpp"
#include "filters/coalesce/plan/window.hpp"
#include "filters/coalesce/prefetch/fetch_planner.hpp"
#include "filters/coalesce/settings.hpp"
#include "filters/coalesce/stream/stream_table.hpp"

namespace coalesce {

// What a thread does next in the layer below: fetch a chunk or, if there is none, query extents.
struct FetchJob {
  ChunkPtr chunk;
  extents::Range query;
  uint64_t stream = 0;  // Stream::id
};

// The state of the read-ahead of one export, with the lock of the export.
//
// A request is first assigned to a stream (observe). For a sequential stream over a slow layer, the
// extents at its place are queried if they are unknown (query_for), and the request fetches the chunk
// around it if no other thread does (claim). Everything further ahead is left to the workers: next_job()
// walks from Stream::next_fetch over the known extents, piece by piece, and hands out one chunk at a
// time until the stream's window is full, or a query where the extents are unknown.
class ReadAhead {
 public:
  // All of them must outlive it.
  ReadAhead(const Settings &settings, MemoryBudget &budget, Counters &counters);
  ReadAhead(const ReadAhead &) = delete;
  ReadAhead &operator=(const ReadAhead &) = delete;

  // Protects everything in here. Held for no I/O and no copying of data. MemoryBudget takes its own
  // lock while this one is held.
  util::Mutex mutex;

  // While it is on, requests take no part in what is below. They need not: no chunk is there, and none is fetched.
  StepAside aside;

  // For the requests of clients.

  // Records a request. Returns its stream if reading ahead is worth it, or nullptr. The pointer is
  // valid until the lock is released.
  Stream *observe(extents::Range request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The query to be made before a chunk can be claimed for the request, if one is needed and no other
  // thread is at it.
  std::optional<FetchJob> query_for(Stream &stream, extents::Range request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The chunk that the request must fetch, as no other request has come for that part of the disk, or
  // nullptr.
  ChunkPtr claim(Stream &stream, extents::Range request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // For the workers: pinned streams first, then the one with the least cached ahead of it.
  std::optional<FetchJob> next_job() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // What has become of it, after the I/O.

  // A read of the layer below, whatever for, took so long; see ReadCost.
  void read_done(uint64_t bytes, std::chrono::nanoseconds took, unsigned parallel)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // A small read went straight to the layer below, see SlowReadDetector. Begins to step aside if none of them
  // has been slow of late.
  void direct_read_done(std::chrono::nanoseconds took, bool slept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // A read has passed by. What is slow now is found out anew if that ends it.
  void passed_by(std::chrono::nanoseconds took) ABSL_LOCKS_EXCLUDED(mutex);
  void fetch_done(const ChunkPtr &chunk, bool success, std::chrono::nanoseconds took)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // `generation`: KnownExtents::generation() when the query was begun. An empty list: it has failed.
  void query_done(const FetchJob &job, uint64_t generation,
                  const std::vector<extents::Extent> &list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // The longest gap that is read with the data on both its sides; bytes.
  uint64_t gap() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Hardly any gap is, for some reads; see ReadCost.
  bool trial() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return cost_.trial(); }

  ChunkCache &cache() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return cache_; }
  KnownExtents &extents() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return extents_; }
  Stream *find_stream(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return streams_.find(id);
  }

 private:
  bool prefetched(extents::Range request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void update_alignment(Stream &stream, extents::Range request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  uint64_t window(const Stream &stream) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  ChunkPtr add_chunk(Stream &stream, extents::Range piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  ChunkPtr claim_around(Stream &stream, extents::Range needed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::optional<FetchJob> next_job_of(Stream &stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  std::optional<FetchJob> fetch_job(Stream &stream, extents::Range piece, uint64_t window)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  const Settings &settings_;
  Counters &counters_;
  StreamTable streams_ ABSL_GUARDED_BY(mutex);
  ChunkCache cache_ ABSL_GUARDED_BY(mutex);
  KnownExtents extents_ ABSL_GUARDED_BY(mutex);
  FetchPlanner planner_ ABSL_GUARDED_BY(mutex);
  SlowReadDetector slow_reads_ ABSL_GUARDED_BY(mutex);
  ReadCost cost_ ABSL_GUARDED_BY(mutex);
  ReadAheadWindow window_ ABSL_GUARDED_BY(mutex);
};

}  // namespace coalesce

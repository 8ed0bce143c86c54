// SPDX-License-Identifier: BSD-3-Clause
//
// The I/O with the layer below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/lower_connection.hpp"
#include "filters/coalesce/prefetch/read_ahead.hpp"
#include "filters/coalesce/prefetch/under_way.hpp"
#include "filters/coalesce/settings.hpp"

namespace coalesce {

// Runs in the thread of a request or of a worker, whichever calls it, without the lock; takes the lock
// to record the result.
class Fetcher {
 public:
  // All of them must outlive it.
  Fetcher(const Settings &settings, ReadAhead &read_ahead, Counters &counters)
      : settings_(settings),
        read_ahead_(read_ahead),
        counters_(counters),
        under_way_(settings.chunk) {}

  // Reads into the buffer of a request. Throws what the connection throws.
  void read_direct(LowerConnection &connection, std::span<std::byte> buffer, uint64_t offset)
      ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  // The same for a read that passes by, see StepAside.
  void pass_by(LowerConnection &connection, std::span<std::byte> buffer, uint64_t offset)
      ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  // Reads a chunk. If that fails, the chunk is gone: a request that needs it reads directly, and
  // reports the error if there still is one.
  void fetch(LowerConnection &connection, const ChunkPtr &chunk) noexcept
      ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  // Queries the extents of FetchJob::query. If that fails, nothing is read ahead there.
  void query(LowerConnection &connection, const FetchJob &job) noexcept
      ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  void run(LowerConnection &connection, const FetchJob &job) noexcept
      ABSL_LOCKS_EXCLUDED(read_ahead_.mutex) {
    job.chunk ? fetch(connection, job.chunk) : query(connection, job);
  }

 private:
  const Settings &settings_;
  ReadAhead &read_ahead_;
  Counters &counters_;
  UnderWay under_way_;
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
//
// Reads a disk once, computes the digest of each block, and compares it with that of an earlier run.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <vector>

#include "common/digests/digest_file.hpp"
#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "filters/delta/changes/source_disk.hpp"

namespace delta {

// Any number of threads. What one is computing, another waits for. Memory: 6 bytes for each MiB of the disk, and
// 1 MiB for each thread at work.
class Scan {
 public:
  using Clock = std::chrono::steady_clock;

  // base: what to compare with; null: everything has changed. tracked: the layer below tells what has changed
  // since `base`, so a block that is a hole, and not zero, has not; its digest is that of `base`, and is
  // computed only where there is none. next: gets the
  // digests, and is completed when it has all. threads: how many may read at the same time, in all calls
  // together, beside the callers' own. The files must outlive the scan.
  Scan(uint64_t size, const digests::DigestFile *base, bool tracked, digests::DigestFile &next,
       unsigned threads);

  // Computes what is missing of the range's beginning, until the time has come, or as far as the layer below tells
  // its extents at once; at least 1 MiB. Returns up to where the map is known. If that is all of the disk, `next` is
  // complete, and durable. Throws what the disk or the file throws; what failed is tried again by the next
  // call.
  uint64_t compute(SourceDisk &disk, extents::Range range, Clock::time_point until);

  // Calls add for the honest extents of a range that is known, in order.
  void for_each(extents::Range range,
                const std::function<void(const extents::Extent &)> &add) const;

 private:
  static constexpr uint64_t blocks_per_chunk = 16;
  static constexpr uint64_t chunk_bytes = blocks_per_chunk * digests::block_bytes;
  enum class State : uint8_t { missing, being_computed, known };
  // A bit for each block.
  struct Chunk {
    uint16_t changed = 0, zero = 0;
    State state = State::missing;
  };
  struct Work;  // of one call of compute()

  extents::Range range_of(uint64_t chunk) const;
  extents::Range block_of(uint64_t block) const;
  void work(Work &work);
  bool claim(uint64_t chunk) ABSL_LOCKS_EXCLUDED(mutex_);
  void settle(uint64_t chunk, const Chunk &result) ABSL_LOCKS_EXCLUDED(mutex_);
  void compute_chunk(const Work &work, uint64_t chunk, std::span<std::byte> buffer, Chunk &result);
  uint64_t read_base(uint64_t first, std::span<digests::Digest> digests) const;
  uint64_t known_until(extents::Range range) const ABSL_LOCKS_EXCLUDED(mutex_);

  const uint64_t size_;
  const digests::DigestFile *const base_;
  const bool tracked_;
  digests::DigestFile &next_;
  const digests::Hasher hasher_;
  std::atomic<int> free_threads_;

  mutable util::Mutex mutex_;
  util::Condition settled_;
  std::vector<Chunk> chunks_ ABSL_GUARDED_BY(mutex_);
  uint64_t missing_
      ABSL_GUARDED_BY(mutex_);  // chunks that are not known, less the one that completes the file
};

}  // namespace delta

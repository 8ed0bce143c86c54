// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "plugins/qcow2/compressed/buffers.hpp"
#include "plugins/qcow2/compressed/packed_chunk.hpp"
#include "plugins/qcow2/compressed/packed_store.hpp"
#include "plugins/qcow2/file/data_sync.hpp"
#include "plugins/qcow2/format/entries.hpp"

namespace qcow2 {

// Packs compressed data into host clusters without gaps, and writes it in large pieces.
//
// The data goes into chunks: runs of host clusters of which a copy is in memory until the chunk is
// full and written. Where a chunk follows another in the file, data may start in one and end in the
// next. A place is assigned under a short lock and filled without it. No byte is written to the
// file twice, nor the page in which the data of a write ends, so a write that is torn by a crash
// damages nothing older. May be used from any thread.
class Packer : public PendingData {
 public:
  // max_references: the largest refcount that the image can store. store must outlive this.
  Packer(uint32_t cluster_bits, uint64_t max_references, PackedStore &store);

  // Stores the data of one compressed cluster, 1 to max_compressed() bytes, and returns its L2
  // entry. read() finds it at once. Throws what the store throws.
  Entry add(std::span<const std::byte> data) ABSL_LOCKS_EXCLUDED(mutex_);

  void write_out() override ABSL_LOCKS_EXCLUDED(mutex_);

  // Fills the buffer with a range that has data from add(), if some of it is in memory. Returns
  // false if none is: then all of it is in the store. Throws what the store throws.
  bool read(std::span<std::byte> buffer, uint64_t offset) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Writes everything out and forgets all chunks. Returns the host clusters that were allocated and
  // not used. No other thread may use the packer.
  std::vector<extents::Range> close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Place {
    PackedChunk *chunk = nullptr;  // null: there is no room
    size_t at = 0;                 // in the chunk
    PackedChunk *next = nullptr;   // the chunk behind it in the file, for data that does not fit

    bool is_awaited() const { return chunk->waiting > 0 || (next != nullptr && next->waiting > 0); }
  };
  using Chunks = std::list<PackedChunk>;
  using Lock = util::MutexLock;

  // `lock` holds mutex_. Functions that take it, and reserve(), may release mutex_ and take it
  // again.
  Place assign(size_t length, Lock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Place find_room(size_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PackedChunk *empty_chunk_behind(const PackedChunk &chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void use(const Place &place, size_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void reserve() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void shut_fullest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void wait_until_copied(PackedChunk &chunk, Lock &lock) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void write(PackedChunk &chunk, Lock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void write_shut_chunks(Lock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint32_t cluster_bits_;
  const uint64_t max_references_;
  const size_t page_;       // bytes
  const size_t max_chunk_;  // bytes
  PackedStore &store_;
  Buffers buffers_;
  // Not held for I/O, nor while data is copied into a chunk. Taken before the mutex of buffers_.
  mutable util::Mutex mutex_;
  mutable util::Condition changed_;
  mutable Chunks chunks_ ABSL_GUARDED_BY(mutex_);
  bool reserving_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t total_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes of all chunks so far
};

}  // namespace qcow2

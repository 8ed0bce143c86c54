// SPDX-License-Identifier: BSD-3-Clause
//
// Lays compressed data densely into the file, in large writes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/compressed/buffers.hpp"
#include "plugins/qcow2/compressed/packed_chunk.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// Compressed data goes, byte after byte, into chunks: runs of host clusters of which a copy is in
// memory until it is full and written. Where a chunk follows another in the file, data may begin in
// the one and end in the other. May be used from any thread: a place is given out under a short
// lock, and filled without it. What has been written to the file once is not written again, nor is
// the page in which it ends, so that a write that is torn by a crash harms nothing older.
class Packer {
 public:
  struct File {
    // Reserves fresh host clusters in a row, with their space; returns the offset.
    std::function<uint64_t(uint64_t clusters)> allocate;
    std::function<void(std::span<const std::byte> data, uint64_t offset)> write;
    std::function<void(std::span<std::byte> buffer, uint64_t offset)>
        read;  // beyond its end zeroes
  };

  // max_references: the largest refcount that the image can store for a host cluster.
  Packer(uint32_t cluster_bits, uint64_t max_references, File file);

  // Stores the data of one compressed cluster, 1 to max_compressed() bytes, and returns what its
  // L2 entry has to be. It can be read() at once. Throws what File throws.
  Entry add(std::span<const std::byte> data);

  // Everything added before the call is in the file after it, though not synced. Throws what
  // File::write throws; nothing is lost then, and the next call tries again.
  void write_out();

  // Fills the buffer with a range of the file that has data that was added, if some of that is held
  // in memory; false if none is, and then it is in the file. Throws what File::read throws.
  bool read(std::span<std::byte> buffer, uint64_t offset) const;

  struct Rest {
    std::vector<extents::Range> unused;  // host clusters that were reserved
    uint64_t end = 0;                    // offset in the file behind the data, 0 if there is none
  };
  // Writes everything out and lets go of the file. No other thread may use the packer.
  Rest close();

 private:
  struct Place {
    Chunk *chunk = nullptr;  // none: there is no room
    size_t at = 0;           // in the chunk
    Chunk *next = nullptr;   // behind it in the file, for what the chunk has no room for

    bool is_awaited() const { return chunk->waiting > 0 || (next != nullptr && next->waiting > 0); }
  };
  using Chunks = std::list<Chunk>;
  using Lock = std::unique_lock<std::mutex>;

  Place find_room(size_t length);
  Chunk *empty_chunk_behind(const Chunk &chunk);
  void take(const Place &place, size_t length);
  void reserve(Lock &lock);
  void shut_fullest();
  void settle(Chunk &chunk, Lock &lock) const;
  void write(Chunk &chunk, Lock &lock);
  void write_shut_chunks(Lock &lock);

  const uint32_t cluster_bits_;
  const uint64_t max_references_;
  const size_t page_;
  const size_t largest_;  // of a chunk
  const File file_;
  Buffers buffers_;
  mutable std::mutex
      mutex_;  // protects what follows; not held for I/O, nor for copies into a chunk
  mutable std::condition_variable changed_;
  mutable Chunks chunks_;
  bool reserving_ = false;
  uint64_t total_ = 0;  // bytes, of all chunks so far
  uint64_t end_ = 0;    // of what was added, in the file
};

}  // namespace qcow2

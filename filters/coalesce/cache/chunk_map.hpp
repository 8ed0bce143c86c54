// SPDX-License-Identifier: BSD-3-Clause
//
// What has been read ahead, or is being read.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"
#include "filters/coalesce/cache/buffer.hpp"

namespace coalesce {

// One piece of the disk. All but the buffer's bytes is protected by the engine's lock; they belong
// to the thread that fetches until the chunk is ready, and do not change afterwards.
struct Chunk {
  enum class State { in_flight, ready, gone };  // gone: failed, or overwritten meanwhile

  Chunk(extents::Range r, Buffer b, uint64_t disk) : range(r), buffer(std::move(b)), unread(disk) {}
  const extents::Range range;
  const Buffer buffer;
  extents::RangeSet unread;  // what the client still wants of it
  uint64_t stream = 0;       // for which it was fetched
  State state = State::in_flight;
  std::condition_variable settled;  // no longer in flight
};
using ChunkPtr = std::shared_ptr<Chunk>;

// Chunks by place; no two overlap. Not synchronised.
class Chunks {
 public:
  // It must not overlap another: a part that is there twice would not be found by a write.
  void insert(const ChunkPtr &chunk);
  // False if it was not there any more.
  bool erase(const ChunkPtr &chunk);
  bool empty() const { return chunks_.empty(); }

  // A part of a range, with the chunk that has it or nullptr.
  struct Part {
    extents::Range range;
    ChunkPtr chunk;
  };
  // All of the range, in order.
  std::vector<Part> split(extents::Range range) const;

  // Those that meet the range; all if it is the whole disk.
  std::vector<ChunkPtr> meeting(extents::Range range) const;

 private:
  std::map<uint64_t, ChunkPtr>::const_iterator first_meeting(uint64_t offset) const;
  std::map<uint64_t, ChunkPtr> chunks_;
};

}  // namespace coalesce

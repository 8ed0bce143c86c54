// SPDX-License-Identifier: BSD-3-Clause
//
// A range of the disk that was read ahead, or is being read.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"
#include "common/util/mutex.hpp"
#include "filters/coalesce/cache/buffer.hpp"

namespace coalesce {

// The bytes of the buffer belong to the thread that fetches them until the chunk is ready, and do not
// change afterwards. The private members belong to the ChunkCache and are protected by what protects
// the cache. A chunk lives as long as the cache or a request that reads it holds it.
class Chunk {
 public:
  enum class State {
    in_flight,  // being fetched
    ready,
    gone,  // the fetch failed, or a write has made it stale: its bytes must not be used
  };

  Chunk(extents::Range r, Buffer b, uint64_t stream_id, uint64_t disk_size)
      : range(r), buffer(std::move(b)), stream(stream_id), unread_(disk_size) {}

  const extents::Range range;
  const Buffer buffer;
  const uint64_t stream;     // Stream::id of the stream that it was fetched for
  util::Condition finished;  // no longer in flight

 private:
  friend class ChunkCache;
  extents::RangeSet unread_;  // data in it that no client has read yet
  State state_ = State::in_flight;
};
using ChunkPtr = std::shared_ptr<Chunk>;

}  // namespace coalesce

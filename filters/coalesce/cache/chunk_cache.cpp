// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/cache/chunk_cache.hpp"

#include <utility>

namespace coalesce {

void ChunkCache::set_share(uint64_t bytes) {
  share_ = bytes;
  if (held_ <= share_) return;
  for (const auto &chunk : chunks_.overlapping({0, disk_size_})) {
    if (chunk->state_ == Chunk::State::ready && held_ > share_) drop(chunk);
  }
}

bool ChunkCache::make_room(uint64_t bytes) {
  auto fits = [&] { return held_ + bytes <= share_; };
  if (fits()) return true;
  for (const auto &chunk : chunks_.overlapping({0, disk_size_})) {
    if (chunk->state_ != Chunk::State::ready) continue;
    const Stream *owner = streams_.find(chunk->stream);
    if (owner == nullptr || streams_.stale(*owner)) drop(chunk);
    if (fits()) return true;
  }
  return false;
}

ChunkPtr ChunkCache::add(Stream &stream, extents::Range range,
                         std::span<const extents::Extent> known) {
  if (!make_room(range.length)) return nullptr;
  Buffer buffer = Buffer::allocate(budget_, range.length);
  if (!buffer) return nullptr;
  auto chunk = std::make_shared<Chunk>(range, std::move(buffer), stream.id, disk_size_);
  for (const auto &e : known) {
    if (e.type == extents::data) chunk->unread_.add(e.range());
  }
  counters_.gap_bytes += range.length - chunk->unread_.bytes();
  chunks_.insert(chunk);
  held_ += range.length;
  stream.cached += range.length;
  return chunk;
}

void ChunkCache::drop(const ChunkPtr &chunk) {
  if (!chunks_.erase(chunk)) return;
  held_ -= chunk->range.length;
  counters_.wasted_bytes += chunk->unread_.bytes();
  if (Stream *stream = streams_.find(chunk->stream)) stream->cached -= chunk->range.length;
}

bool ChunkCache::finish(const ChunkPtr &chunk, bool success) {
  const bool in_flight = chunk->state_ == Chunk::State::in_flight;
  if (in_flight) {
    chunk->state_ = success ? Chunk::State::ready : Chunk::State::gone;
    // Clients may have read all of it directly meanwhile.
    if (!success || chunk->unread_.empty()) drop(chunk);
  }
  chunk->finished.notify_all();
  return in_flight;
}

bool ChunkCache::mark_read(const ChunkPtr &chunk, extents::Range part) {
  chunk->unread_.subtract(part);
  if (!chunk->unread_.empty() || chunk->state_ != Chunk::State::ready) return false;
  drop(chunk);
  return true;
}

void ChunkCache::drop_passed(const Stream &stream) {
  const uint64_t slack = streams_.slack();
  if (stream.head <= slack) return;
  for (const auto &chunk : chunks_.overlapping({0, stream.head - slack})) {
    bool passed = chunk->range.end() + slack <= stream.head;
    if (passed && chunk->stream == stream.id && chunk->state_ == Chunk::State::ready) drop(chunk);
  }
}

void ChunkCache::invalidate(extents::Range range) {
  for (const auto &chunk : chunks_.overlapping(range)) {
    if (chunk->state_ == Chunk::State::in_flight) {
      chunk->state_ = Chunk::State::gone;
      chunk->finished.notify_all();
    }
    drop(chunk);
  }
}

}  // namespace coalesce

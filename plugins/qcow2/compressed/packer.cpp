// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/compressed/packer.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/format/geometry.hpp"

namespace qcow2 {

namespace {

constexpr size_t page_bytes = 4096;
constexpr size_t largest_chunk = 1u << 20;
// Chunks that are filled at a time: what no longer fits the older ones goes to the newest, and what
// is small still fills the older ones' ends.
constexpr size_t most_open = 4;

}  // namespace

Packer::Packer(uint32_t cluster_bits, uint64_t max_references, File file)
    : cluster_bits_(cluster_bits),
      max_references_(max_references),
      page_(std::min<size_t>(page_bytes, size_t{1} << cluster_bits)),
      largest_(std::max(largest_chunk, size_t{2} << cluster_bits)),
      file_(std::move(file)),
      buffers_(largest_) {}

Entry Packer::add(std::span<const std::byte> data) {
  Lock lock(mutex_);
  Place place;
  for (;;) {
    write_shut_chunks(lock);
    place = find_room(data.size());
    if (place.chunk != nullptr && !place.is_awaited()) break;
    if (place.chunk != nullptr || reserving_) {
      changed_.wait(lock);
    } else {
      reserve(lock);
    }
  }
  take(place, data.size());
  Chunk &chunk = *place.chunk;
  Chunk *next = place.next;
  ++chunk.copying;
  if (next != nullptr) ++next->copying;
  auto here = data.first(std::min(data.size(), chunk.size - place.at));
  lock.unlock();
  std::memcpy(chunk.bytes.data() + place.at, here.data(), here.size());
  if (next != nullptr) {
    std::memcpy(next->bytes.data(), data.data() + here.size(), data.size() - here.size());
  }
  lock.lock();
  --chunk.copying;
  if (next != nullptr) --next->copying;
  changed_.notify_all();
  return compressed_entry(chunk.offset + place.at, data.size(), cluster_bits_);
}

Packer::Place Packer::find_room(size_t length) {
  for (Chunk &chunk : chunks_) {
    if (!chunk.open) continue;
    size_t at = chunk.free_from(max_references_);
    if (at >= chunk.size) continue;
    if (length <= chunk.size - at) return {&chunk, at, nullptr};
    if (Chunk *next = empty_chunk_behind(chunk)) return {&chunk, at, next};
  }
  return {};
}

Chunk *Packer::empty_chunk_behind(const Chunk &chunk) {
  auto it = std::find_if(chunks_.begin(), chunks_.end(), [&](const Chunk &c) {
    return c.open && c.used == 0 && c.offset == chunk.offset + chunk.size;
  });
  return it == chunks_.end() ? nullptr : &*it;
}

void Packer::take(const Place &place, size_t length) {
  Chunk &chunk = *place.chunk;
  if (place.at != chunk.used) chunk.skip_to(place.at);
  size_t here = std::min(length, chunk.size - place.at);
  chunk.use(here);
  end_ = std::max(end_, chunk.end_of_used());
  if (place.next == nullptr) return;
  place.next->use(length - here);
  end_ = std::max(end_, place.next->end_of_used());
  chunk.open = false;
}

// Few clusters at a time at first, so that a small image stays small. What follows a chunk in the
// file makes it longer, as far as its memory goes.
void Packer::reserve(Lock &lock) {
  size_t cluster = size_t{1} << cluster_bits_;
  size_t size =
      std::clamp<size_t>(std::bit_ceil(total_ / 64 + 1), std::max(cluster, page_), largest_);
  reserving_ = true;
  lock.unlock();
  uint64_t offset = 0;
  std::exception_ptr failure;
  try {
    offset = file_.allocate(size >> cluster_bits_);
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  reserving_ = false;
  changed_.notify_all();
  if (failure) std::rethrow_exception(failure);
  total_ += size;
  for (Chunk &chunk : chunks_) {
    if (!chunk.open || chunk.offset + chunk.size != offset || chunk.size + size > largest_)
      continue;
    chunk.size += size;
    return;
  }
  chunks_.push_back({cluster_bits_, offset, size, buffers_.take()});
  shut_fullest();
}

void Packer::shut_fullest() {
  Chunk *fullest = nullptr;
  size_t open = 0;
  for (Chunk &chunk : chunks_) {
    if (!chunk.open) continue;
    ++open;
    if (fullest == nullptr || chunk.free() < fullest->free()) fullest = &chunk;
  }
  if (open > most_open) fullest->open = false;
}

// Waits for those who fill their places. Nobody begins to while this thread has the lock.
void Packer::settle(Chunk &chunk, Lock &lock) const {
  ++chunk.waiting;
  changed_.wait(lock, [&] { return chunk.copying == 0; });
  if (--chunk.waiting == 0) changed_.notify_all();
}

// Writes what has not been written of the chunk, which this thread alone may do meanwhile.
void Packer::write(Chunk &chunk, Lock &lock) {
  chunk.writing = true;
  settle(chunk, lock);
  chunk.skip_to(std::min(Geometry::round_up(chunk.used, page_), chunk.size));
  size_t from = chunk.written, to = chunk.used;
  lock.unlock();
  try {
    file_.write({chunk.bytes.data() + from, to - from}, chunk.offset + from);
  } catch (...) {
    lock.lock();
    chunk.writing = false;
    changed_.notify_all();
    throw;
  }
  lock.lock();
  chunk.written = to;
  chunk.writing = false;
  changed_.notify_all();
}

// Chunks that are full go to the file, and out of memory, before anything is added: by whoever
// comes first.
void Packer::write_shut_chunks(Lock &lock) {
  for (;;) {
    auto it = std::find_if(chunks_.begin(), chunks_.end(), [](const Chunk &c) {
      return !c.open && !c.writing && c.copying == 0 && c.waiting == 0;
    });
    if (it == chunks_.end()) return;
    if (it->written < it->used) write(*it, lock);
    if (it->waiting == 0) chunks_.erase(it);
  }
}

void Packer::write_out() {
  Lock lock(mutex_);
  write_shut_chunks(lock);
  std::vector<std::pair<uint64_t, size_t>> wanted;  // which chunk, up to where
  for (const Chunk &chunk : chunks_) wanted.emplace_back(chunk.offset, chunk.used);
  for (const auto &chunk : wanted) {
    for (;;) {
      auto it = std::find_if(chunks_.begin(), chunks_.end(),
                             [&](const Chunk &c) { return c.offset == chunk.first; });
      if (it == chunks_.end() || it->written >= chunk.second) break;
      if (it->writing) {
        changed_.wait(lock);
      } else {
        write(*it, lock);
      }
    }
  }
}

// What is in memory is taken from there, what is not was written before it went.
bool Packer::read(std::span<std::byte> buffer, uint64_t offset) const {
  const uint64_t end = offset + buffer.size();
  auto part = [&](extents::Range r) { return buffer.subspan(r.offset - offset, r.length); };
  std::vector<extents::Range> written;
  Lock lock(mutex_);
  for (uint64_t at = offset; at < end;) {
    Chunk *chunk = nullptr;  // the first that has something of the rest
    for (Chunk &c : chunks_) {
      if (c.end_of_used() <= at || c.offset >= end || c.used == 0) continue;
      if (chunk == nullptr || c.offset < chunk->offset) chunk = &c;
    }
    uint64_t start = chunk == nullptr ? end : std::max(at, chunk->offset);
    if (at < start) written.push_back({at, start - at});
    if (chunk == nullptr) break;
    settle(*chunk, lock);
    uint64_t stop = std::min(end, chunk->end_of_used());
    std::memcpy(part({start, stop - start}).data(), chunk->bytes.data() + (start - chunk->offset),
                stop - start);
    at = std::min(end, chunk->offset + chunk->size);
    std::ranges::fill(part({stop, at - stop}), std::byte{0});  // nobody's yet
  }
  lock.unlock();
  if (written.size() == 1 && written[0].length == buffer.size()) return false;
  for (const auto &range : written) file_.read(part(range), range.offset);
  return true;
}

Packer::Rest Packer::close() {
  write_out();
  Lock lock(mutex_);
  Rest rest;
  rest.end = end_;
  for (const Chunk &chunk : chunks_) {
    uint64_t used = Geometry::round_up(chunk.used, uint64_t{1} << cluster_bits_);
    if (used < chunk.size) rest.unused.push_back({chunk.offset + used, chunk.size - used});
  }
  chunks_.clear();
  return rest;
}

}  // namespace qcow2

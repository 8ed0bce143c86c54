// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/compressed/packer.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/format/geometry.hpp"

namespace qcow2 {

namespace {

constexpr size_t page_bytes = 4096;
constexpr size_t chunk_bytes = 1u << 20;
// The chunks that are filled at the same time: data that no longer fits into the older ones goes
// into the newest, and small data still fills the ends of the older ones.
constexpr size_t max_open = 4;

}  // namespace

Packer::Packer(uint32_t cluster_bits, uint64_t max_references, PackedStore &store)
    : cluster_bits_(cluster_bits),
      max_references_(max_references),
      page_(std::min<size_t>(page_bytes, size_t{1} << cluster_bits)),
      max_chunk_(std::max(chunk_bytes, size_t{2} << cluster_bits)),
      store_(store),
      buffers_(max_chunk_) {}

Entry Packer::add(std::span<const std::byte> data) {
  Lock lock(mutex_);
  Place place = assign(data.size(), lock);
  PackedChunk &chunk = *place.chunk;
  PackedChunk *next = place.next;
  ++chunk.copying;
  if (next != nullptr) ++next->copying;
  auto here = data.first(std::min(data.size(), chunk.size - place.at));
  lock.unlock();
  REPLICATE_SYNC_POINT("qcow2.packing");
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

// Finds a place for that many bytes, or makes room for them, and takes it.
Packer::Place Packer::assign(size_t length, Lock &lock) {
  for (;;) {
    write_shut_chunks(lock);
    Place place = find_room(length);
    if (place.chunk != nullptr && !place.is_awaited()) {
      use(place, length);
      return place;
    }
    if (place.chunk != nullptr || reserving_) {
      changed_.wait(lock);
    } else {
      reserve();
    }
  }
}

Packer::Place Packer::find_room(size_t length) {
  for (PackedChunk &chunk : chunks_) {
    if (!chunk.open) continue;
    size_t at = chunk.free_from(max_references_);
    if (at >= chunk.size) continue;
    if (length <= chunk.size - at) return {&chunk, at, nullptr};
    if (PackedChunk *next = empty_chunk_behind(chunk)) return {&chunk, at, next};
  }
  return {};
}

PackedChunk *Packer::empty_chunk_behind(const PackedChunk &chunk) {
  auto it = std::find_if(chunks_.begin(), chunks_.end(), [&](const PackedChunk &c) {
    return c.open && c.used == 0 && c.offset == chunk.offset + chunk.size;
  });
  return it == chunks_.end() ? nullptr : &*it;
}

void Packer::use(const Place &place, size_t length) {
  PackedChunk &chunk = *place.chunk;
  if (place.at != chunk.used) chunk.skip_to(place.at);
  size_t here = std::min(length, chunk.size - place.at);
  chunk.use(here);
  if (place.next == nullptr) return;
  place.next->use(length - here);
  chunk.open = false;
}

// Allocates a few clusters at first, so that a small image stays small, and then more. Clusters
// that follow a chunk in the file make it longer, as far as its buffer allows. Releases the lock
// while it allocates.
void Packer::reserve() {
  size_t cluster = size_t{1} << cluster_bits_;
  size_t size =
      std::clamp<size_t>(std::bit_ceil(total_ / 64 + 1), std::max(cluster, page_), max_chunk_);
  reserving_ = true;
  mutex_.unlock();
  uint64_t offset = 0;
  std::exception_ptr failure;
  try {
    offset = store_.allocate(size >> cluster_bits_);
  } catch (...) {
    failure = std::current_exception();
  }
  mutex_.lock();
  reserving_ = false;
  changed_.notify_all();
  if (failure) std::rethrow_exception(failure);
  total_ += size;
  for (PackedChunk &chunk : chunks_) {
    if (!chunk.open || chunk.offset + chunk.size != offset || chunk.size + size > max_chunk_)
      continue;
    chunk.size += size;
    return;
  }
  chunks_.push_back({cluster_bits_, offset, size, buffers_.take()});
  shut_fullest();
}

void Packer::shut_fullest() {
  PackedChunk *fullest = nullptr;
  size_t open = 0;
  for (PackedChunk &chunk : chunks_) {
    if (!chunk.open) continue;
    ++open;
    if (fullest == nullptr || chunk.free() < fullest->free()) fullest = &chunk;
  }
  if (open > max_open) fullest->open = false;
}

// Waits until all places that are assigned are filled. No place is assigned until this thread
// releases the lock again.
void Packer::wait_until_copied(PackedChunk &chunk, Lock &lock) const {
  ++chunk.waiting;
  while (chunk.copying > 0) changed_.wait(lock);
  if (--chunk.waiting == 0) changed_.notify_all();
}

// Writes the part of the chunk that is not in the file, without the lock. `writing` keeps others
// from it.
void Packer::write(PackedChunk &chunk, Lock &lock) {
  chunk.writing = true;
  wait_until_copied(chunk, lock);
  chunk.skip_to(std::min(Geometry::round_up(chunk.used, page_), chunk.size));
  size_t from = chunk.written, to = chunk.used;
  mutex_.unlock();
  std::exception_ptr failure;
  try {
    store_.write({chunk.bytes.data() + from, to - from}, chunk.offset + from);
  } catch (...) {
    failure = std::current_exception();
  }
  mutex_.lock();
  if (!failure) chunk.written = to;
  chunk.writing = false;
  changed_.notify_all();
  if (failure) std::rethrow_exception(failure);
}

// Each thread that adds data writes the chunks that are full, and frees their memory, before it
// takes a place.
void Packer::write_shut_chunks(Lock &lock) {
  for (;;) {
    auto it = std::find_if(chunks_.begin(), chunks_.end(), [](const PackedChunk &c) {
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
  std::vector<std::pair<uint64_t, size_t>> wanted;  // offset of the chunk, up to where
  for (const PackedChunk &chunk : chunks_) wanted.emplace_back(chunk.offset, chunk.used);
  for (const auto &[offset, used] : wanted) {
    for (;;) {
      auto it = std::find_if(chunks_.begin(), chunks_.end(),
                             [&, at = offset](const PackedChunk &c) { return c.offset == at; });
      if (it == chunks_.end() || it->written >= used) break;
      if (it->writing) {
        changed_.wait(lock);
      } else {
        write(*it, lock);
      }
    }
  }
}

// Data that is not in a chunk any more is in the store: it was written before the chunk was freed.
bool Packer::read(std::span<std::byte> buffer, uint64_t offset) const {
  const uint64_t end = offset + buffer.size();
  auto part = [&](extents::Range r) { return buffer.subspan(r.offset - offset, r.length); };
  std::vector<extents::Range> written;
  Lock lock(mutex_);
  for (uint64_t at = offset; at < end;) {
    PackedChunk *chunk = nullptr;  // the first with a part of the rest
    for (PackedChunk &c : chunks_) {
      if (c.end_of_used() <= at || c.offset >= end || c.used == 0) continue;
      if (chunk == nullptr || c.offset < chunk->offset) chunk = &c;
    }
    uint64_t start = chunk == nullptr ? end : std::max(at, chunk->offset);
    if (at < start) written.push_back({at, start - at});
    if (chunk == nullptr) break;
    wait_until_copied(*chunk, lock);
    uint64_t stop = std::min(end, chunk->end_of_used());
    std::span<std::byte> found = part({start, stop - start});
    std::ranges::copy_n(chunk->bytes.data() + (start - chunk->offset), std::ssize(found),
                        found.begin());
    at = std::min(end, chunk->offset + chunk->size);
    std::ranges::fill(part({stop, at - stop}), std::byte{0});  // not assigned yet
  }
  lock.unlock();
  if (written.size() == 1 && written[0].length == buffer.size()) return false;
  for (const auto &range : written) store_.read(part(range), range.offset);
  return true;
}

std::vector<extents::Range> Packer::close() {
  write_out();
  Lock lock(mutex_);
  std::vector<extents::Range> unused;
  for (const PackedChunk &chunk : chunks_) {
    uint64_t used = Geometry::round_up(chunk.used, uint64_t{1} << cluster_bits_);
    if (used < chunk.size) unused.push_back({chunk.offset + used, chunk.size - used});
  }
  chunks_.clear();
  return unused;
}

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/digests/scan.hpp"

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "common/util/zero.hpp"
#include "filters/delta/digests/block_kind.hpp"

namespace delta {

using digests::block_bytes;
using digests::Digest;

// Shared by the threads of one call.
struct Scan::Work {
  SourceDisk &disk;
  std::vector<extents::Extent> extents;  // of the layer below, for all chunks of this call
  uint64_t first, end;                   // chunks
  Clock::time_point until;
  std::atomic<uint64_t> next;
  util::Mutex mutex;
  std::exception_ptr failure ABSL_GUARDED_BY(mutex) = nullptr;

  void fail(std::exception_ptr e) {
    util::MutexLock lock(mutex);
    if (!failure) failure = std::move(e);
    next = end;
  }
};

Scan::Scan(uint64_t size, const digests::DigestFile *base, bool tracked, digests::DigestFile &next,
           unsigned threads)
    : size_(size),
      base_(base),
      tracked_(tracked),
      next_(next),
      hasher_(next.header().key),
      free_threads_(static_cast<int>(threads)),
      chunks_((size + chunk_bytes - 1) / chunk_bytes),
      missing_(chunks_.size()) {
  if (size == 0) next_.complete();
}

extents::Range Scan::range_of(uint64_t chunk) const {
  const uint64_t offset = chunk * chunk_bytes;
  return {offset, std::min(chunk_bytes, size_ - offset)};
}

extents::Range Scan::block_of(uint64_t block) const {
  const uint64_t offset = block * block_bytes;
  return {offset, std::min(block_bytes, size_ - offset)};
}

uint64_t Scan::compute(SourceDisk &disk, extents::Range range, Clock::time_point until) {
  if (uint64_t known = known_until(range); known > range.offset) return known;
  Work work{.disk = disk,
            .extents = {},
            .first = range.offset / chunk_bytes,
            .end = (range.end() + chunk_bytes - 1) / chunk_bytes,
            .until = until,
            .next = range.offset / chunk_bytes,
            .mutex = {}};
  const uint64_t begin = work.first * chunk_bytes;
  work.extents = disk.extents({begin, range_of(work.end - 1).end() - begin});
  // No further than it told, but for the first chunk, of which what is not told is read.
  const uint64_t told = work.extents.empty() ? 0 : work.extents.back().end();
  const uint64_t whole = told >= size_ ? work.end : told / chunk_bytes;
  work.end = std::clamp(whole, work.first + 1, work.end);

  std::vector<std::jthread> helpers;
  while (helpers.size() + 1 < work.end - work.first) {
    if (free_threads_.fetch_sub(1) <= 0) {
      ++free_threads_;
      break;
    }
    try {
      helpers.emplace_back([this, &work] {
        this->work(work);
        ++free_threads_;
      });
    } catch (const std::system_error &) {  // as many as the system lets us have
      ++free_threads_;
      break;
    }
  }
  this->work(work);
  helpers.clear();
  const uint64_t known = known_until(range);
  util::MutexLock lock(work.mutex);
  if (known == range.offset && work.failure) std::rethrow_exception(work.failure);
  return known;
}

// No exception leaves a thread.
void Scan::work(Work &work) {
  std::vector<std::byte> buffer;
  for (;;) {
    const uint64_t chunk = work.next++;
    if (chunk >= work.end || (chunk > work.first && Clock::now() >= work.until)) return;
    if (!claim(chunk)) continue;
    Chunk result;
    try {
      buffer.resize(chunk_bytes);
      compute_chunk(work, chunk, buffer, result);
      settle(chunk, result);
    } catch (...) {
      work.fail(std::current_exception());
      util::MutexLock lock(mutex_);
      chunks_[chunk].state = State::missing;
      settled_.notify_all();
    }
  }
}

// Whether the caller has to compute it; else it is known. Waits for another thread that computes it.
bool Scan::claim(uint64_t chunk) {
  util::MutexLock lock(mutex_);
  while (chunks_[chunk].state == State::being_computed) settled_.wait(lock);
  if (chunks_[chunk].state == State::known) return false;
  chunks_[chunk].state = State::being_computed;
  return true;
}

// The last one is known only after the file is complete: nobody sees the whole map before that.
void Scan::settle(uint64_t chunk, const Chunk &result) {
  bool last = false;
  {
    util::MutexLock lock(mutex_);
    last = --missing_ == 0;
  }
  if (last) {
    try {
      REPLICATE_SYNC_POINT("delta.scan.before_complete");
      next_.complete();
    } catch (...) {
      util::MutexLock lock(mutex_);
      ++missing_;
      throw;
    }
  }
  util::MutexLock lock(mutex_);
  chunks_[chunk] = result;
  chunks_[chunk].state = State::known;
  settled_.notify_all();
}

// How many of the blocks from `first` on have a digest in `base`, which is read. The last block of the earlier
// disk may have been a short one.
uint64_t Scan::read_base(uint64_t first, std::span<Digest> digests) const {
  if (base_ == nullptr || base_->header().blocks() <= first) return 0;
  const uint64_t n = std::min<uint64_t>(digests.size(), base_->header().blocks() - first);
  base_->read(first, digests.first(n));
  return block_of(first + n - 1).end() > base_->header().size ? n - 1 : n;
}

void Scan::compute_chunk(const Work &work, uint64_t chunk, std::span<std::byte> buffer,
                         Chunk &result) {
  const uint64_t first = chunk * blocks_per_chunk;
  const uint64_t blocks = (range_of(chunk).length + block_bytes - 1) / block_bytes;
  std::array<Digest, blocks_per_chunk> digests{}, before{};
  const uint64_t comparable = read_base(first, std::span(before).first(blocks));
  std::array<BlockKind, blocks_per_chunk> kinds{};
  auto is_read = [&](uint64_t i) {
    return kinds[i] == BlockKind::data || (kinds[i] == BlockKind::unchanged && i >= comparable);
  };
  for (uint64_t i = 0; i < blocks; ++i)
    kinds[i] = kind_of(work.extents, block_of(first + i), tracked_);
  // Neighbours are read in one request.
  for (uint64_t i = 0; i < blocks;) {
    uint64_t n = 0;
    while (i + n < blocks && is_read(i + n)) ++n;
    if (n > 0) {
      const uint64_t offset = block_of(first + i).offset, end = block_of(first + i + n - 1).end();
      work.disk.read(buffer.subspan(i * block_bytes, end - offset), offset);
    }
    i += std::max<uint64_t>(n, 1);
  }
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t length = block_of(first + i).length;
    const auto bytes = buffer.subspan(i * block_bytes, length);
    const auto bit = static_cast<uint16_t>(1u << i);
    if (is_read(i)) {
      digests[i] = hasher_(bytes);
      if (util::is_zero(bytes)) result.zero |= bit;
    } else if (kinds[i] == BlockKind::zero) {
      digests[i] = hasher_.of_zeroes(length);
      result.zero |= bit;
    } else {
      digests[i] = before[i];
    }
    const bool same =
        kinds[i] == BlockKind::unchanged || (i < comparable && digests[i] == before[i]);
    if (!same) result.changed |= bit;
  }
  next_.write(first, std::span(digests).first(blocks));
}

uint64_t Scan::known_until(extents::Range range) const {
  util::MutexLock lock(mutex_);
  uint64_t at = range.offset;
  while (at < range.end() && chunks_[at / chunk_bytes].state == State::known) {
    at = range_of(at / chunk_bytes).end();
  }
  return std::min(at, range.end());
}

void Scan::for_each(extents::Range range,
                    const std::function<void(const extents::Extent &)> &add) const {
  extents::Extent run{range.offset, 0, extents::hole};
  for (uint64_t at = range.offset; at < range.end();) {
    Chunk chunk;
    {
      util::MutexLock lock(mutex_);
      chunk = chunks_[at / chunk_bytes];
    }
    for (uint64_t end = std::min(range_of(at / chunk_bytes).end(), range.end()); at < end;) {
      const auto bit = 1u << (at % chunk_bytes / block_bytes);
      const extents::Range part = extents::intersect(block_of(at / block_bytes), {at, end - at});
      const extents::Type type = (chunk.changed & bit) == 0 ? extents::hole
                                 : (chunk.zero & bit) != 0  ? extents::zero
                                                            : extents::data;
      if (type != run.type && run.length > 0) {
        add(run);
        run = {at, 0, type};
      }
      run.type = type;
      run.length += part.length;
      at += part.length;
    }
  }
  if (run.length > 0) add(run);
}

}  // namespace delta

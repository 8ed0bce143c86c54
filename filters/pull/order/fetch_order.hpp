// SPDX-License-Identifier: BSD-3-Clause
//
// What is fetched next: what clients wait for, the ranges of pull-priority, what lies ahead of clients that
// read on, the rest from the beginning.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "common/extents/extent.hpp"
#include "filters/pull/order/reading_streams.hpp"

namespace pull {

// What a FetchOrder has to know about the disk.
class DiskView {
 public:
  virtual ~DiskView() = default;
  virtual extents::Range first_missing(extents::Range within) const = 0;
  virtual bool is_fetched_now(extents::Range range) const = 0;
  // How far the source's map is known, from the beginning on, and what it says from an offset on.
  virtual uint64_t known() const = 0;
  virtual extents::Extent source_at(uint64_t offset) const = 0;
};

struct ChunkJob {
  enum class Why { waited_for, priority, ahead, rest };
  extents::Range range;  // a chunk, or zeroes of the source
  Why why;
  bool zeroes;  // the source has zeroes there
  bool operator==(const ChunkJob &) const = default;
};

// Not synchronised, but for what says so.
class FetchOrder {
 public:
  using Clock = std::chrono::steady_clock;
  // chunk: bytes. ahead: how many bytes are fetched ahead of a reader.
  FetchOrder(uint64_t size, uint64_t chunk, std::vector<extents::Range> priority, uint64_t ahead)
      : size_(size),
        chunk_(chunk),
        ahead_(ahead),
        priority_(std::move(priority)),
        streams_(4 * chunk) {}

  // What is to be fetched ahead because of this read of a client; empty: nothing that was not to be before. May be called
  // from any thread.
  extents::Range note_read(extents::Range range) {
    return {range.end(), streams_.note(range) ? ahead_ : 0};
  }
  // A client waits for the range.
  void want(extents::Range range);
  // The chunk at the offset could not be fetched: others go before it until then; if it is to be the last, also after that, for
  // as long as there is another one.
  void defer(uint64_t offset, Clock::time_point until, bool last = false);

  // The chunk with the offset, clipped to the disk.
  extents::Range chunk_of(uint64_t offset) const;

  // Nothing: there is none that is missing, not being fetched, and not deferred; or, with rest, the map must be known
  // first. without rest: only what is more urgent than that.
  std::optional<ChunkJob> next(const DiskView &disk, Clock::time_point now, bool rest);

 private:
  std::optional<ChunkJob> next_not_deferred(const DiskView &disk, bool rest);
  std::optional<ChunkJob> first_chunk(const DiskView &disk, extents::Range within,
                                      ChunkJob::Why why) const;
  std::optional<ChunkJob> next_rest(const DiskView &disk, extents::Range within) const;
  bool is_deferred(uint64_t offset) const;

  const uint64_t size_, chunk_, ahead_;
  const std::vector<extents::Range> priority_;
  std::deque<extents::Range> wanted_;
  ReadingStreams streams_;
  uint64_t rest_from_ = 0;  // nothing before it is missing, but for what is fetched now
  struct Deferral {
    Clock::time_point until;
    bool last;
  };
  std::map<uint64_t, Deferral> deferred_;  // by the chunk's offset
};

}  // namespace pull

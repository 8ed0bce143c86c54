// SPDX-License-Identifier: BSD-3-Clause
//
// Reads ahead of the clients of one export.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "common/extents/range_set.hpp"
#include "common/util/log.hpp"
#include "filters/coalesce/cache/chunk_map.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/plan/window.hpp"
#include "filters/coalesce/plan/known_extents.hpp"
#include "filters/coalesce/plan/slow_read_detector.hpp"
#include "filters/coalesce/plan/planner.hpp"
#include "filters/coalesce/lower_connection.hpp"
#include "filters/coalesce/stream/stream_table.hpp"

namespace coalesce {

struct Settings {
  uint64_t size = 0;          // bytes of the disk
  uint64_t gap = 1u << 20;    // Shape::gap
  uint64_t chunk = 4u << 20;  // Shape::chunk
  uint64_t block = 1;         // a power of two: the layer below wants its reads aligned so
  unsigned workers = 4;       // threads; 0: each request fetches the chunk that it needs itself
  std::chrono::microseconds fast{300};        // see Pace
  std::vector<extents::Range> priority = {};  // fetched first, in this order, before anybody asks
};

// Reads small requests out of chunks that were fetched before they came. May be used by any number
// of threads. The readers attached are lent to the workers, unless each makes its own.
class Engine {
 public:
  // Makes a reader for one worker, in its thread; nullptr if that is not possible.
  using MakeReader = std::function<std::unique_ptr<Reader>()>;

  // The budget and the counters may be shared with other engines and must outlive this one.
  Engine(const Settings &settings, Budget &budget, Counters &counters, util::Log log,
         MakeReader make_reader = {});
  // No request may be running. Waits for what the workers are reading.
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  uint64_t size() const { return settings_.size; }
  // How much of the budget it may use, from now on.
  void set_share(uint64_t bytes);

  // The workers may use the reader until detach() returns, which takes no longer than a read.
  void attach(Reader &reader);
  void detach(Reader &reader) noexcept;

  // `own` is the reader of the connection that asks. Throws what it throws.
  void read(Reader &own, std::span<std::byte> buffer, uint64_t offset);
  // Something is known at least of the first byte of the range (below 4 GiB). one: of the first
  // extent only, for those who ask like this ask often.
  std::vector<extents::Extent> extents(Reader &own, extents::Range range, bool one = false);
  // The same with gaps of up to Settings::gap made data, as far as extents are asked for at a time.
  std::vector<extents::Extent> merged_extents(Reader &own, extents::Range range);

  // To be called after a write to the layer below, also one that failed, before it is answered: of
  // what was read up to now nothing will be seen by a read that begins later.
  void invalidate(extents::Range range);

 private:
  struct Lent {
    Reader *reader = nullptr;
    unsigned users = 0;
  };
  // What a worker does next: fetch a chunk, or ask for extents.
  struct Job {
    ChunkPtr chunk;
    extents::Range survey;
    uint64_t stream = 0;
  };
  using Lock = std::unique_lock<std::mutex>;
  // Added to Lent::users: the workers take this reader no more.
  static constexpr unsigned leaving = 1u << 30;
  // Extents are asked for this far at a time, as nbdcopy does; bytes.
  static constexpr uint64_t survey_length = 128u << 20;
  // After so many reads seen_ starts anew, so that it cannot grow without limit.
  static constexpr unsigned seen_most = 1u << 20;

  // All of these with the lock held.
  Stream *observe(extents::Range want);
  uint64_t wanted_between(uint64_t from, uint64_t to) const;
  uint64_t window_of(const Stream &stream) const;
  std::optional<Job> advance(Stream &stream);
  std::optional<Job> next_job();
  ChunkPtr claim(Stream &stream, extents::Range want);
  std::vector<extents::Range> plan_from(const Stream &stream, uint64_t position) const;
  uint64_t align_of(const Stream &stream) const;
  std::vector<extents::Range> missing(const Stream &stream, extents::Range piece) const;
  ChunkPtr start(Stream &stream, extents::Range piece);
  // Where nothing is known any more in the chunk where a request begins; size() if all is.
  uint64_t unknown_ahead(extents::Range want) const;
  bool make_room(uint64_t bytes);
  void count(const std::vector<Chunks::Part> &parts, const ChunkPtr &claimed);
  void drop(const ChunkPtr &chunk);
  void drop_passed(const Stream &stream);
  void consume(const ChunkPtr &chunk, extents::Range range);
  void start_workers();

  // Without the lock.
  void direct(Reader &reader, std::span<std::byte> buffer, uint64_t offset);
  void fetch(Reader &reader, const ChunkPtr &chunk) noexcept;
  void survey(Reader &reader, const Job &job) noexcept;
  bool copy(const Chunks::Part &part, std::span<std::byte> to);
  void work() noexcept;
  void work_with(Lock &lock, Reader *mine);

  const Settings settings_;
  Budget &budget_;
  Counters &counters_;
  const util::Log log_;
  const MakeReader make_reader_;

  std::mutex mutex_;                  // protects all below; held for no I/O and no copying
  std::condition_variable work_;      // there may be a job, or stop_
  std::condition_variable returned_;  // a reader is not in use any more
  Streams streams_;
  Chunks chunks_;
  DiskMap map_;
  extents::RangeSet seen_;    // read by sequential streams: another one need not fetch it
  extents::RangeSet failed_;  // not to be read ahead again
  unsigned seen_count_ = 0;
  Pace pace_;
  Depth depth_;
  uint64_t share_;
  uint64_t held_ = 0;  // bytes of all chunks
  std::vector<Lent> readers_;
  std::vector<std::thread> threads_;
  unsigned workers_;  // alive or to be started
  bool stop_ = false;
};

}  // namespace coalesce

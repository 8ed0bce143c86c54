// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/durability/flush_round.hpp"
#include "common/extents/range_lock.hpp"
#include "common/util/waiters.hpp"
#include "filters/pull/background/fetch_workers.hpp"
#include "filters/pull/chunks/chunk_fetcher.hpp"
#include "filters/pull/chunks/presence.hpp"
#include "filters/pull/counters.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/source/source_map.hpp"
#include "filters/pull/state/state_saver.hpp"

namespace pull {

// What one flush covers, and the flushes of that, one at a time. May be used from any thread.
class FlushScope {
 public:
  explicit FlushScope(Presence &presence)
      : presence_(presence),
        pending_(presence.open()),
        rounds_([this](LocalDisk &local, StateSaver &state) { flush_now(local, state); }) {}
  ~FlushScope() { presence_.close(pending_); }
  FlushScope(const FlushScope &) = delete;
  FlushScope &operator=(const FlushScope &) = delete;

  Presence::Scope pending() const { return pending_; }
  // Returns when all that was written before the call is durable at `local`, a connection of the scope, and not owed.
  void flush(LocalDisk &local, StateSaver &state) { rounds_.run(local, state); }

 private:
  void flush_now(LocalDisk &local, StateSaver &state);

  Presence &presence_;
  const Presence::Scope pending_;
  durability::FlushRound<LocalDisk &, StateSaver &> rounds_;
};

// The requests of one client. May be used from any thread.
class PullClient {
 public:
  struct Parts {
    LocalDisk &local;  // the client's own connection
    Presence &presence;
    extents::RangeLock &changes;
    SourceMap &map;
    ChunkFetcher &fetcher;
    FetchWorkers *workers;  // nothing if all was here at the start
    StateSaver &state;
    Counters &counters;
    util::Waiters &waiting;
    const std::atomic<bool> &whole;
  };
  // shared: of all clients; nothing: a flush covers this client alone.
  PullClient(const Parts &parts, FlushScope *shared);

  void read(std::span<std::byte> buffer, uint64_t offset);
  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable);
  void zero(extents::Range range, LocalDisk::Hole hole, bool durable);
  void fast_zero(extents::Range range, LocalDisk::Hole hole, bool durable);
  // Throws also if another flush of the local disk has failed since the last one of this client.
  void flush();
  // Brings the range here.
  void cache(extents::Range range);
  // What is here as the local disk has it, what is not as the source's map has it. At least the first.
  std::vector<extents::Extent> extents(extents::Range range);

 private:
  void bring_here(extents::Range range);
  static extents::Range needed(extents::Range range, extents::Range chunk);
  void fetch(extents::Range range);
  bool hear_of_failures();  // whether a flush has failed since
  template <typename F>
  void change(extents::Range range, bool durable, F &&f);
  template <typename F>
  void make_durable(F &&request);  // with FUA
  [[noreturn]] static void fail_because_lost();

  Parts parts_;
  std::unique_ptr<FlushScope> own_scope_;
  FlushScope &scope_;
  std::atomic<uint64_t> failures_heard_;  // of Presence::failed_flushes()
};

}  // namespace pull

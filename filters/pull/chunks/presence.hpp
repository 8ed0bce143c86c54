// SPDX-License-Identifier: BSD-3-Clause
//
// What of the disk is here, and what of that is durable.
//
// A byte is
//   missing  reads come from the source;
//   here     it is read from the local disk: it was fetched, or a client has written it;
//   durable  and it stays so after a crash: a flush of the local disk has covered it (and, for one that
//            was fetched, the source has confirmed it). Only these are left out of what the state owes.
// A byte that a client has written is never missing again, for the source does not have it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>

#include "common/durability/flushes_under_way.hpp"
#include "common/durability/pending_set.hpp"
#include "common/extents/range_set.hpp"
#include "common/util/mutex.hpp"

namespace pull {

// May be used from any thread. What lies beyond the size, that of the source, is here and durable.
class Presence {
  using Pending = durability::PendingSet<extents::RangeSet>;

 public:
  // What one flush of the local disk covers: one connection, or all of them.
  using Scope = std::list<Pending>::iterator;

  explicit Presence(const extents::RangeSet &owed);

  bool here(extents::Range range) const ABSL_LOCKS_EXCLUDED(mutex_);
  // The first run of missing bytes within the range; empty if all is here.
  extents::Range first_missing(extents::Range within) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<extents::Range> missing(extents::Range within) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t missing_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // How often bytes that were here have become missing: a read that began before may be of those.
  uint64_t losses() const { return losses_; }

  // f is called whenever the last missing byte has come, by the thread that brought it; it must not call anything here.
  // An empty one: no longer, also not by another thread after the return.
  void when_all_is_here(std::function<void()> f) ABSL_LOCKS_EXCLUDED(mutex_);

  // Only one thread fetches a byte at a time. try_begin: false if another one fetches some of the range;
  // wait: until none does. end() must follow a try_begin() that was true.
  bool try_begin(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  void end(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  void wait_for_fetch(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  bool is_fetched_now(extents::Range range) const ABSL_LOCKS_EXCLUDED(mutex_);

  // The source's bytes have been written to the local disk. failures: failed_flushes() before that; if one has failed
  // since, they may be lost, and stay missing.
  void fetched(extents::Range range, uint64_t failures) ABSL_LOCKS_EXCLUDED(mutex_);
  // Around a flush of the local disk, on the connection that was fetched by. If that succeeds, the source is asked whether
  // it confirms what was fetched. What was fetched before is durable then, or missing if the flush failed, or waits for
  // the next.
  struct FetchedFlush {
    Pending::Flush flush;
    bool empty;  // there is nothing to be flushed
    uint64_t number;
  };
  FetchedFlush begin_fetched_flush() ABSL_LOCKS_EXCLUDED(mutex_);
  // The local disk has answered. Waits for the flushes of clients that began before: one that fails takes what was
  // fetched with it.
  void fetched_flush_succeeded(const FetchedFlush &flush) ABSL_LOCKS_EXCLUDED(mutex_);
  enum class Result { durable, unconfirmed, lost };
  void end_fetched_flush(FetchedFlush flush, Result result) ABSL_LOCKS_EXCLUDED(mutex_);

  Scope open() ABSL_LOCKS_EXCLUDED(mutex_);
  // What is pending in it is never durable, until it is written again.
  void close(Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);
  // A client has changed the range: the local disk has answered.
  void written(extents::Range range, Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);
  // Around a flush of the local disk by a connection of the scope. No two at the same time in one scope. A local disk
  // tells of a lost write once, by any flush: after a failed one also what was fetched may be lost, and is missing.
  // One that has succeeded waits for those that began before: if one of them fails it makes nothing durable either.
  struct Sync {
    uint64_t number;
    uint64_t failures;  // failed_flushes() at its begin
  };
  struct ClientFlush {
    Pending::Flush flush;
    Sync sync;
  };
  ClientFlush begin_flush(Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);
  void end_flush(Scope scope, const ClientFlush &flush, bool succeeded) ABSL_LOCKS_EXCLUDED(mutex_);
  // Around a request of a client that the local disk is to make durable by itself (FUA): one that fails is a flush that
  // has failed. Returns whether it counts, as end_flush().
  Sync begin_sync() ABSL_LOCKS_EXCLUDED(mutex_);
  bool end_sync(Sync sync, bool succeeded) ABSL_LOCKS_EXCLUDED(mutex_);
  // How many flushes have failed: what clients had written before may be lost.
  uint64_t failed_flushes() const ABSL_LOCKS_EXCLUDED(mutex_);

  struct Snapshot {
    extents::RangeSet owed;  // all that is not durable
    uint64_t changes;        // how often what is durable has changed
  };
  Snapshot durable() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t changes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether nothing of the range is owed, and nothing has changed since.
  bool is_durable(extents::Range range, uint64_t changes) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t owed_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void take_missing(extents::Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool overlaps_fetch(extents::Range range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void make_durable(const extents::RangeSet &set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void lose(extents::RangeSet fetched) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const extents::RangeSet empty_;
  mutable util::Mutex mutex_;  // before those of the PendingSets
  util::Condition fetch_ended_;
  extents::RangeSet missing_ ABSL_GUARDED_BY(mutex_);
  extents::RangeSet owed_ ABSL_GUARDED_BY(mutex_);
  extents::RangeSet written_ ABSL_GUARDED_BY(mutex_);  // by clients, before it was durable
  std::atomic<uint64_t> losses_ = 0;  // changed under mutex_, before what is lost is missing
  uint64_t failed_flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> all_is_here_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<extents::Range> fetching_ ABSL_GUARDED_BY(mutex_);
  Pending fetched_;
  durability::FlushesUnderWay flushes_;
  std::list<Pending> scopes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pull

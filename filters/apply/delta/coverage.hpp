// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the delta has arrived at the destination.
//
// A byte of the delta is
//   missing  it has not arrived, or what arrived may be lost;
//   pending  the layer below has answered the request, but no flush has covered it;
//   durable  a flush that began after the answer has succeeded, and none has failed since the request began.
// Only durable bytes may be left out of what the state file owes. In doubt a byte is missing: to
// owe too much costs time, to owe too little leaves wrong bytes in the copy.
//
// The layer below may tell of a lost write once, by any flush or request with FUA, of any connection, and whatever it
// was that was lost. So after one that failed all that is pending is missing, in every scope.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "common/durability/flushes_under_way.hpp"
#include "common/durability/pending_set.hpp"
#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

// What a request makes of its bytes.
enum class Effect {
  delivers,  // the destination then holds the source's bytes
  clears,    // it then holds zeroes, where the source may have data
};

// May be used from any thread.
class Coverage {
  struct Operation {
    extents::Range range;
    Effect effect;
    bool conflicting;  // with another that was under way at the same time: the result is not known
    uint64_t flush;    // its number, if the request is a flush too; or 0
  };

 public:
  // The three are opaque to the caller. A scope is what one flush covers: one connection, or all of
  // them where the layer below can multi-conn.
  using Pending = durability::PendingSet<DeltaSet>;
  using Scope = std::list<Pending>::iterator;
  struct Flush {
    Scope scope;
    Pending::Flush flush;
    uint64_t number;
    uint64_t failures;  // failed_flushes() at its begin
  };
  using Op = std::list<Operation>::iterator;

  // The map must outlive it.
  explicit Coverage(const DeltaMap &map) : map_(map), durable_(map), arrived_(map), zeroed_(map) {}

  Scope open() ABSL_LOCKS_EXCLUDED(mutex_);
  // What is pending in it is missing. Not while it is flushed.
  void close(Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);

  // Before a request for a range in the delta is sent to the layer below. One that clears makes its
  // bytes missing at once, except where mark_zeroed() was called. Requests that overlap, of which
  // one delivers and one clears, deliver nothing: the order in which the layer below does them is
  // not known. syncs: the layer below is asked to make the bytes durable with the request (FUA), which may
  // tell of what was lost before.
  Op begin(extents::Range range, Effect effect, bool syncs = false) ABSL_LOCKS_EXCLUDED(mutex_);
  // After the answer. If the request failed, its bytes are missing, whatever was there before. One that syncs waits
  // as end_flush() does.
  void end(Op op, Scope scope, bool succeeded) ABSL_LOCKS_EXCLUDED(mutex_);

  // The source has zeroes in the range, and they were written to the destination: they are pending.
  // Zeroes that a client sends later do not make them missing.
  void mark_zeroed(extents::Range range, Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);

  // Around a flush of the layer below. What is pending in the scope when it begins is durable when it ends. If it
  // failed, all that is pending in any scope is missing. One that has succeeded waits for those that began before: if one
  // of them fails, it counts for nothing, and false is returned.
  Flush begin_flush(Scope scope) ABSL_LOCKS_EXCLUDED(mutex_);
  bool end_flush(Flush flush, bool succeeded) ABSL_LOCKS_EXCLUDED(mutex_);
  // How many flushes have failed, and requests that sync.
  uint64_t failed_flushes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Anything in the scope, also if a flush of another connection is under way.
  bool pending(Scope scope) const ABSL_LOCKS_EXCLUDED(mutex_);

  // What is owed is the delta without its durable bytes.
  std::vector<extents::Range> owed() const ABSL_LOCKS_EXCLUDED(mutex_);  // in order
  uint64_t owed_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The first areas of what is owed, at most `most`, from an offset on.
  std::vector<Area> missing(uint64_t from, size_t most) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t arrived_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);  // of the delta: pending or durable

  // The durable bytes, and a number that differs whenever they do.
  struct Snapshot {
    DeltaSet durable;
    uint64_t changes;
  };
  Snapshot durable() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void make_durable(const DeltaSet &pending) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void make_missing(extents::Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void wait_for_others(uint64_t flush) ABSL_LOCKS_EXCLUDED(mutex_);
  void lose_pending() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void recompute_arrived() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // after a loss

  const DeltaMap &map_;
  mutable util::Mutex mutex_;  // held for no I/O; the locks of scopes_ are taken while it is held
  DeltaSet durable_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // how often durable_ has changed
  DeltaSet arrived_ ABSL_GUARDED_BY(mutex_);      // durable, or pending in any scope
  // Zero at the source and, unless missing, at the destination.
  DeltaSet zeroed_ ABSL_GUARDED_BY(mutex_);
  std::list<Pending> scopes_ ABSL_GUARDED_BY(mutex_);
  std::list<Operation> operations_ ABSL_GUARDED_BY(mutex_);  // under way
  uint64_t failed_flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  durability::FlushesUnderWay flushes_;
};

}  // namespace apply

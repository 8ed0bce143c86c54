// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination has and what it owes, and which requests may be sent to it, so that newer data
// is never overwritten by older data, and a block that differs is never taken for equal.
//
// The rules, by blocks (DirtyMap::block):
//  - A client's request is `direct` (sent to the destination as it is) or `deferred` (its blocks
//    become dirty when it is over, and are copied from the primary later).
//  - A direct request touches no block that is dirty, being copied, or in a deferred request.
//  - A block is copied only while no client's request and no other copy touches it. A request that
//    comes meanwhile is deferred, and makes the block dirty again.
//  - A deferred request may become the copy of its blocks at its end, under the same condition.
//  - A block that was written and not flushed becomes dirty when the connection is lost, or a flush or a request
//    with FUA has failed: the server may have lost the data, and tells of it once, by any of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "common/durability/pending_set.hpp"
#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

// Not synchronised: the destination's lock protects it. No method blocks.
class Ledger {
 public:
  explicit Ledger(uint64_t size) : size_(size) {}  // bytes of the primary

  enum class Route { direct, deferred, copy };
  struct Entry {
    Range range;
    Route route;
    uint64_t losses;  // lost() before it began
  };
  using Id = std::list<Entry>::iterator;  // of a request or a copy that is under way
  struct Flush {
    durability::PendingSet<DirtyMap>::Flush flush;
    uint64_t losses;  // lost() before it began
  };

  uint64_t size() const { return size_; }
  // Of another primary. Only while durable().
  void set_size(uint64_t size) { size_ = size; }

  // Whether a direct request for the range may begin.
  bool may_go_direct(Range range) const;
  Id begin(Range range, Route route);
  // `arrived`: the destination has the same data as the primary. `durable`: no flush is needed. Returns whether it
  // has arrived; it has not if what was not flushed has been lost since it began, unless it was a comparison.
  bool end(Id id, bool arrived, bool durable);
  // A request that has changed neither the primary nor the destination.
  void withdraw(Id id);
  // A deferred request that has changed the primary, and whose data is in memory, becomes a copy.
  // False, and the request is still to be ended, if it is not made of whole blocks or another entry
  // touches them.
  bool become_copy(Id id);

  // Begins the next copy, of at most `most` bytes, after the end of the last one. Nothing if there
  // is none up to the end of the disk; the next call then starts at offset 0.
  std::optional<Id> next_copy(uint64_t most);
  // Begins a copy of a clean range that nothing touches, so that it can be compared undisturbed.
  // Nothing if the range is not clean. end(): `arrived` if it is equal.
  std::optional<Id> reserve(Range range);

  // The destination differs in the range.
  void owe(Range range) { dirty_.add(clip(range)); }
  // The connection is lost, or the server has told of a lost write: what was not flushed becomes dirty, and what is
  // under way does not arrive.
  void lost();

  // A flush covers what arrived before it began. If it failed, all that was not flushed is lost(): after an error a
  // server may have dropped the data, and a second flush would not notice. Returns whether it counts: it has
  // succeeded, and nothing has been lost since it began.
  Flush begin_flush();
  bool end_flush(Flush flush, bool succeeded);

  // Nothing is dirty or being copied, and no request is deferred.
  bool settled() const { return dirty_.empty() && copies_ == 0 && deferred_ == 0; }
  // Settled, and all data is durable.
  bool durable() const { return settled() && flushed(); }
  // What has arrived is durable. A flush that is under way has not made anything durable yet.
  bool flushed() const { return unflushed_.durable(); }
  bool anything_dirty() const { return !dirty_.empty(); }

  uint64_t owed_bytes() const;  // dirty or being copied
  uint64_t dirty_blocks() const { return dirty_.blocks(); }
  // What the destination does not have yet; and that with all that would be missing if its server
  // were lost now.
  DirtyMap missing() const;
  DirtyMap at_risk() const;

  Range clip(Range range) const { return extents::intersect(range, {0, size_}); }

 private:
  bool touched(Range range, bool direct_too) const;

  uint64_t size_;
  DirtyMap dirty_;
  durability::PendingSet<DirtyMap> unflushed_;
  std::list<Entry> under_way_;
  size_t copies_ = 0;    // of them
  size_t deferred_ = 0;  // of them
  uint64_t losses_ = 0;  // lost() so far
  uint64_t cursor_ = 0;  // where the next copy is looked for
};

}  // namespace fanout

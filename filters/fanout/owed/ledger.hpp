// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination has and what it owes, and the order in which it may be given what: never is a
// block that lags behind overwritten by older data, nor taken for equal while it is not.
//
// The rules, by blocks (DirtyMap::block):
//  - A client's request is `direct` (sent to the destination as it is) or `deferred` (its blocks become
//    dirty when it is over, and are copied from the primary later).
//  - A direct one touches no block that is dirty, being copied, or in a deferred request.
//  - A block is copied only while no client's request and no other copy touches it. A request that comes
//    meanwhile is deferred, and makes the block dirty again.
//  - A deferred request may become the copy of its blocks at its end, when the same is true of them.
//  - What was written and not flushed since becomes dirty when the connection is lost: the server may
//    have lost it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

// Not synchronised: the destination's lock protects it. No method blocks.
class Ledger {
 public:
  explicit Ledger(uint64_t size) : size_(size) {}  // bytes of the primary

  enum class Way { direct, deferred, copy };
  struct Entry {
    Range range;
    Way way;
  };
  using Id = std::list<Entry>::iterator;  // of a request or a copy that is under way
  using Flush = std::list<DirtyMap>::iterator;

  uint64_t size() const { return size_; }

  // Nothing that is dirty, being copied or deferred touches the range: a direct request may begin.
  bool may_go_direct(Range range) const;
  Id begin(Range range, Way way);
  // `arrived`: the destination has what the primary has. `durable`: and keeps it without a flush.
  void end(Id id, bool arrived, bool durable);
  // A deferred request of which the data is at hand, and that has changed the primary, becomes a copy
  // of its whole blocks. False if it has others, or something else is at them: it is to be ended.
  bool become_copy(Id id);

  // The next to be copied, at most `most` bytes of it, from where the last one ended; it is begun. If
  // there is none up to the end of the disk: nothing, and the next one begins at the start again.
  std::optional<Id> next_copy(uint64_t most);
  // Of a clean range that nothing touches, for a look at it that nothing must disturb. Ends as a copy
  // that arrived (or did not: then it is dirty).
  std::optional<Id> reserve(Range range);

  // The destination differs there.
  void owe(Range range) { dirty_.add(clip(range)); }
  // The connection is lost, and with it what was not flushed.
  void lost();

  // A flush covers what arrived before it began. If it failed, what it covered is dirty.
  Flush begin_flush();
  void end_flush(Flush flush, bool succeeded);

  // Nothing is dirty, nor will be on account of anything under way.
  bool settled() const { return dirty_.empty() && copies_ == 0 && deferred_ == 0; }
  // And all of it is durable.
  bool durable() const { return settled() && flushed() && flushing_.empty(); }
  bool flushed() const { return unflushed_.empty(); }
  bool anything_dirty() const { return !dirty_.empty(); }

  uint64_t owed_bytes() const;  // dirty or being copied
  uint64_t dirty_blocks() const { return dirty_.blocks(); }
  // What is not there yet; and with it all that a server that vanishes now may be missing.
  DirtyMap missing() const;
  DirtyMap at_risk() const;

  Range clip(Range range) const { return extents::intersect(range, {0, size_}); }

 private:
  bool touched(Range range, bool direct_too) const;

  uint64_t size_;
  DirtyMap dirty_;
  DirtyMap unflushed_;
  std::list<DirtyMap> flushing_;
  std::list<Entry> under_way_;
  size_t copies_ = 0;    // of them
  size_t deferred_ = 0;  // of them
  uint64_t cursor_ = 0;  // where the next copy is looked for
};

}  // namespace fanout

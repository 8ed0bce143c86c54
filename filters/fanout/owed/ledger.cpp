// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/owed/ledger.hpp"

#include <algorithm>
#include <utility>

namespace fanout {

namespace {

constexpr uint64_t block = DirtyMap::block;

// The range, extended to whole blocks.
Range blocks_of(Range range) {
  if (range.empty()) return range;
  uint64_t start = range.offset / block * block;
  return {start, ((range.end() - 1) / block + 1) * block - start};
}

bool meet(Range a, Range b) {
  return !extents::intersect(blocks_of(a), blocks_of(b)).empty();
}

}  // namespace

bool Ledger::touched(Range range, bool direct_too) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&](const Entry &e) {
    return (direct_too || e.route != Route::direct) && meet(e.range, range);
  });
}

bool Ledger::may_go_direct(Range range) const {
  return !dirty_.intersects(range) && !touched(range, false);
}

Ledger::Id Ledger::begin(Range range, Route route) {
  Id id = under_way_.insert(under_way_.end(), {clip(range), route, losses_});
  if (route == Route::deferred) ++deferred_;
  if (route == Route::copy) ++copies_;
  return id;
}

bool Ledger::end(Id id, bool arrived, bool durable) {
  const bool compared = id->route == Route::copy && durable;
  arrived = arrived && (id->losses == losses_ || compared);
  if (!arrived || id->route == Route::deferred) {
    dirty_.add(id->range);
  } else if (!durable) {
    unflushed_.add(id->range);
  }
  withdraw(id);
  return arrived;
}

void Ledger::withdraw(Id id) {
  if (id->route == Route::deferred) --deferred_;
  if (id->route == Route::copy) --copies_;
  under_way_.erase(id);
}

bool Ledger::become_copy(Id id) {
  Range range = id->range;
  if (range.offset % block != 0 || (range.end() % block != 0 && range.end() != size_)) return false;
  for (auto e = under_way_.begin(); e != under_way_.end(); ++e) {
    if (e != id && meet(e->range, range)) return false;
  }
  dirty_.remove(range);
  id->route = Route::copy;
  id->losses = losses_;  // it is sent later
  --deferred_;
  ++copies_;
  return true;
}

std::optional<Ledger::Id> Ledger::next_copy(uint64_t most) {
  for (;;) {
    Range run = dirty_.next(cursor_, most);
    if (run.empty()) {
      cursor_ = 0;
      return std::nullopt;
    }
    // The part before the first busy block; if that is empty, what follows the busy blocks.
    uint64_t end = run.end();
    uint64_t beyond = 0;
    for (const Entry &e : under_way_) {
      Range busy = extents::intersect(blocks_of(e.range), run);
      if (busy.empty()) continue;
      end = std::min(end, busy.offset);
      if (busy.offset == run.offset) beyond = std::max(beyond, busy.end());
    }
    if (end == run.offset) {
      cursor_ = beyond;
      continue;
    }
    run.length = end - run.offset;
    cursor_ = end;
    dirty_.remove(run);
    return begin(run, Route::copy);
  }
}

std::optional<Ledger::Id> Ledger::reserve(Range range) {
  if (dirty_.intersects(range) || touched(range, true)) return std::nullopt;
  return begin(range, Route::copy);
}

void Ledger::lost() {
  ++losses_;
  dirty_.add(unflushed_.lost());
}

Ledger::Flush Ledger::begin_flush() {
  return {unflushed_.begin_flush(), losses_};
}

bool Ledger::end_flush(Flush flush, bool succeeded) {
  if (!succeeded) lost();  // then it covers nothing
  unflushed_.end_flush(flush.flush, true);
  return losses_ == flush.losses;
}

uint64_t Ledger::owed_bytes() const {
  uint64_t bytes = dirty_.blocks() * block;
  // The last block of the disk may be shorter.
  if (size_ % block != 0 && dirty_.contains({size_ - 1, 1})) bytes -= block - size_ % block;
  for (const Entry &e : under_way_) {
    if (e.route == Route::copy) bytes += e.range.length;
  }
  return bytes;
}

DirtyMap Ledger::missing() const {
  DirtyMap all = dirty_;
  for (const Entry &e : under_way_) {
    if (e.route != Route::direct) all.add(e.range);
  }
  return all;
}

DirtyMap Ledger::at_risk() const {
  DirtyMap all = missing();
  all.add(unflushed_.at_risk());
  for (const Entry &e : under_way_) all.add(e.range);
  return all;
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/coverage.hpp"

#include "common/durability/sync_point.hpp"

namespace apply {

using extents::Range;
using util::MutexLock;

namespace {

bool overlap(const Range &a, const Range &b) {
  return !extents::intersect(a, b).empty();
}

}  // namespace

Coverage::Scope Coverage::open() {
  MutexLock lock(mutex_);
  return scopes_.emplace(scopes_.end(), DeltaSet(map_));
}

void Coverage::close(Scope scope) {
  MutexLock lock(mutex_);
  bool lost = !scope->durable();
  scopes_.erase(scope);
  if (lost) recompute_arrived();
}

Coverage::Op Coverage::begin(Range range, Effect effect, bool syncs) {
  MutexLock lock(mutex_);
  bool conflicting = false;
  for (Operation &other : operations_) {
    if (other.effect == effect || !overlap(other.range, range)) continue;
    conflicting = true;
    other.conflicting = true;
  }
  if (effect == Effect::delivers) {
    zeroed_.subtract(range);
  } else {
    std::vector<Range> unconfirmed;
    zeroed_.split(range, [&](Range part, bool in) {
      if (!in) unconfirmed.push_back(part);
      return true;
    });
    for (const Range &part : unconfirmed) make_missing(part);
  }
  return operations_.insert(operations_.end(),
                            {range, effect, conflicting, syncs ? flushes_.begin() : 0});
}

void Coverage::end(Op op, Scope scope, bool succeeded) {
  const uint64_t flush = op->flush;
  if (flush > 0) {
    if (succeeded) {
      wait_for_others(flush);
    } else {
      REPLICATE_SYNC_POINT("apply.flush_failed");
    }
  }
  MutexLock lock(mutex_);
  if (!succeeded) {
    if (flush > 0) lose_pending();
    make_missing(op->range);
    for (Operation &other : operations_) other.conflicting |= overlap(other.range, op->range);
  } else if (op->effect == Effect::delivers && !op->conflicting) {
    scope->add(op->range);
    arrived_.add(op->range);
  }
  operations_.erase(op);
  flushes_.end(flush);
}

void Coverage::mark_zeroed(Range range, Scope scope) {
  MutexLock lock(mutex_);
  scope->add(range);
  arrived_.add(range);
  zeroed_.add(range);
}

Coverage::Flush Coverage::begin_flush(Scope scope) {
  MutexLock lock(mutex_);
  return {scope, scope->begin_flush(), flushes_.begin(), failed_flushes_};
}

bool Coverage::end_flush(Flush flush, bool succeeded) {
  if (succeeded) {
    wait_for_others(flush.number);
  } else {
    REPLICATE_SYNC_POINT("apply.flush_failed");
  }
  MutexLock lock(mutex_);
  if (!succeeded) lose_pending();  // then it covers nothing
  make_durable(flush.scope->end_flush(flush.flush, true));
  flushes_.end(flush.number);
  return failed_flushes_ == flush.failures;
}

void Coverage::wait_for_others(uint64_t flush) {
  flushes_.end(flush);
  REPLICATE_SYNC_POINT("apply.flush_waits");
  flushes_.wait();
}

// What is under way at the layer below may be lost too, though its answer comes later.
void Coverage::lose_pending() {
  ++failed_flushes_;
  for (Pending &scope : scopes_) scope.lost();
  for (Operation &operation : operations_) operation.conflicting = true;
  recompute_arrived();
}

uint64_t Coverage::failed_flushes() const {
  MutexLock lock(mutex_);
  return failed_flushes_;
}

bool Coverage::pending(Scope scope) const {
  MutexLock lock(mutex_);
  return !scope->durable();
}

std::vector<Range> Coverage::owed() const {
  MutexLock lock(mutex_);
  std::vector<Range> list;
  durable_.for_each_missing_range([&](Range range) { list.push_back(range); });
  return list;
}

uint64_t Coverage::owed_bytes() const {
  MutexLock lock(mutex_);
  return map_.delta_bytes() - durable_.bytes();
}

uint64_t Coverage::arrived_bytes() const {
  MutexLock lock(mutex_);
  return arrived_.bytes();
}

std::vector<Area> Coverage::missing(uint64_t from, size_t most) const {
  MutexLock lock(mutex_);
  std::vector<Area> list;
  durable_.for_each_missing(from, [&](const Area &area) {
    list.push_back(area);
    return list.size() < most;
  });
  return list;
}

Coverage::Snapshot Coverage::durable() const {
  MutexLock lock(mutex_);
  return {durable_, changes_};
}

void Coverage::make_durable(const DeltaSet &pending) {
  uint64_t before = durable_.bytes();
  durable_.add(pending);
  if (durable_.bytes() != before) ++changes_;
}

void Coverage::make_missing(Range range) {
  uint64_t before = durable_.bytes();
  durable_.subtract(range);
  if (durable_.bytes() != before) ++changes_;
  arrived_.subtract(range);
  zeroed_.subtract(range);
  for (Pending &scope : scopes_) scope.subtract(range);
}

void Coverage::recompute_arrived() {
  arrived_ = durable_;
  for (const Pending &scope : scopes_) arrived_.add(scope.at_risk());
}

}  // namespace apply

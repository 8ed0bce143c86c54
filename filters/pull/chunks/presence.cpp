// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/chunks/presence.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/durability/sync_point.hpp"

namespace pull {

using extents::Range;
using extents::RangeSet;
using util::MutexLock;

Presence::Presence(const RangeSet &owed)
    : empty_(owed.size()), missing_(owed), owed_(owed), written_(owed.size()), fetched_(empty_) {}

bool Presence::here(Range range) const {
  MutexLock lock(mutex_);
  return !missing_.intersects(range);
}

Range Presence::first_missing(Range within) const {
  MutexLock lock(mutex_);
  Range first{within.end(), 0};
  missing_.split(within, [&](Range part, bool is_missing) {
    if (is_missing) first = part;
    return !is_missing;
  });
  return first;
}

std::vector<Range> Presence::missing(Range within) const {
  MutexLock lock(mutex_);
  return missing_.ranges(within);
}

uint64_t Presence::missing_bytes() const {
  MutexLock lock(mutex_);
  return missing_.bytes();
}

void Presence::when_all_is_here(std::function<void()> f) {
  MutexLock lock(mutex_);
  all_is_here_ = std::move(f);
}

void Presence::take_missing(Range range) {
  if (missing_.empty()) return;
  missing_.subtract(range);
  if (missing_.empty() && all_is_here_) all_is_here_();
}

bool Presence::overlaps_fetch(Range range) const {
  return std::any_of(fetching_.begin(), fetching_.end(),
                     [&](const Range &r) { return !extents::intersect(r, range).empty(); });
}

bool Presence::try_begin(Range range) {
  MutexLock lock(mutex_);
  if (overlaps_fetch(range)) return false;
  fetching_.push_back(range);
  return true;
}

void Presence::end(Range range) {
  MutexLock lock(mutex_);
  fetching_.erase(std::find(fetching_.begin(), fetching_.end(), range));
  fetch_ended_.notify_all();
}

void Presence::wait_for_fetch(Range range) {
  MutexLock lock(mutex_);
  while (overlaps_fetch(range)) {
    REPLICATE_SYNC_POINT("pull.waits_for_fetch");
    fetch_ended_.wait(lock);
  }
}

bool Presence::is_fetched_now(Range range) const {
  MutexLock lock(mutex_);
  return overlaps_fetch(range);
}

void Presence::fetched(Range range, uint64_t failures) {
  MutexLock lock(mutex_);
  if (failed_flushes_ != failures) return;
  fetched_.add(range);
  take_missing(range);
}

Presence::FetchedFlush Presence::begin_fetched_flush() {
  MutexLock lock(mutex_);
  const auto flush = fetched_.begin_flush();
  const bool is_empty = fetched_.covered(flush).empty();
  return {flush, is_empty, is_empty ? 0 : flushes_.begin()};
}

void Presence::fetched_flush_succeeded(const FetchedFlush &flush) {
  flushes_.end(flush.number);
  flushes_.wait();
}

void Presence::end_fetched_flush(FetchedFlush flush, Result result) {
  MutexLock lock(mutex_);
  // What was fetched since its begin may be lost with it.
  if (result == Result::lost) lose(fetched_.lost());
  make_durable(fetched_.end_flush(flush.flush, result == Result::durable));
  flushes_.end(flush.number);
}

void Presence::lose(RangeSet fetched) {
  ++failed_flushes_;
  fetched.subtract(written_);
  if (!fetched.empty()) ++losses_;
  missing_.add(fetched);
}

Presence::Scope Presence::open() {
  MutexLock lock(mutex_);
  return scopes_.emplace(scopes_.end(), empty_);
}

void Presence::close(Scope scope) {
  MutexLock lock(mutex_);
  scopes_.erase(scope);
}

void Presence::written(Range range, Scope scope) {
  MutexLock lock(mutex_);
  for (const Range &part : owed_.ranges(range)) {
    scope->add(part);
    written_.add(part);
  }
  take_missing(range);
}

Presence::ClientFlush Presence::begin_flush(Scope scope) {
  MutexLock lock(mutex_);
  return {scope->begin_flush(), {flushes_.begin(), failed_flushes_}};
}

void Presence::end_flush(Scope scope, const ClientFlush &flush, bool succeeded) {
  const bool counts = end_sync(flush.sync, succeeded);
  MutexLock lock(mutex_);
  make_durable(scope->end_flush(flush.flush, counts));
}

Presence::Sync Presence::begin_sync() {
  MutexLock lock(mutex_);
  return {flushes_.begin(), failed_flushes_};
}

bool Presence::end_sync(Sync sync, bool succeeded) {
  if (succeeded) {
    flushes_.end(sync.number);
    flushes_.wait();
  }
  MutexLock lock(mutex_);
  if (!succeeded) lose(fetched_.lost());
  flushes_.end(sync.number);
  return failed_flushes_ == sync.failures;
}

uint64_t Presence::failed_flushes() const {
  MutexLock lock(mutex_);
  return failed_flushes_;
}

void Presence::make_durable(const RangeSet &set) {
  const uint64_t before = owed_.bytes();
  owed_.subtract(set);
  if (owed_.bytes() != before) ++changes_;
}

Presence::Snapshot Presence::durable() const {
  MutexLock lock(mutex_);
  return {owed_, changes_};
}

uint64_t Presence::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

bool Presence::is_durable(Range range, uint64_t changes) const {
  MutexLock lock(mutex_);
  return changes_ == changes && !owed_.intersects(range);
}

uint64_t Presence::owed_bytes() const {
  MutexLock lock(mutex_);
  return owed_.bytes();
}

}  // namespace pull

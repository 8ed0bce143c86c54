// SPDX-License-Identifier: BSD-3-Clause
//
// What has been written and is not durable yet, and what the flushes that are under way will make durable.
#pragma once

#include <cstddef>
#include <list>
#include <utility>

#include "common/util/mutex.hpp"

namespace durability {

// The rule: what add() has returned for before begin_flush() is called is covered by that flush, or was
// durable before. So a writer calls add() before it acknowledges the write, and the flush itself (a sync,
// a flush request to a server) is made between begin_flush() and end_flush(). What a failed flush covered
// is pending again. Flushes may overlap, and may end in any order.
//
// Set needs add(X), clear(), empty() and add(const Set &); subtract() needs the same of Set. May be used from any thread.
template <typename Set>
class PendingSet {
 public:
  // A flush that is under way; used once, by end_flush().
  using Flush = typename std::list<Set>::iterator;

  // `empty`: a set without elements, of which all others are copies.
  explicit PendingSet(Set empty = Set()) : empty_(std::move(empty)), pending_(empty_) {}

  template <typename X>
  void add(const X &x) {
    util::MutexLock lock(mutex_);
    pending_.add(x);
  }

  Flush begin_flush() {
    util::MutexLock lock(mutex_);
    flushing_.push_back(std::exchange(pending_, empty_));
    return std::prev(flushing_.end());
  }

  // What the flush covers. Valid until end_flush(); to be read by the thread that flushes alone, and not
  // where subtract() or lost() may be called meanwhile.
  const Set &covered(Flush flush) const { return *flush; }

  // `succeeded`: returns what has become durable by it. Else what it covered is pending again, and an empty
  // set is returned.
  Set end_flush(Flush flush, bool succeeded) {
    util::MutexLock lock(mutex_);
    Set covered = std::move(*flush);
    flushing_.erase(flush);
    if (succeeded) return covered;
    pending_.add(covered);
    return empty_;
  }

  // What was not durable is lost (a connection, a server): returns all of it. Nothing is pending then, and
  // the flushes that are under way cover nothing.
  Set lost() {
    util::MutexLock lock(mutex_);
    Set all = std::exchange(pending_, empty_);
    for (Set &flush : flushing_) all.add(std::exchange(flush, empty_));
    return all;
  }

  // Takes elements out, wherever they are.
  template <typename X>
  void subtract(const X &x) {
    util::MutexLock lock(mutex_);
    pending_.subtract(x);
    for (Set &flush : flushing_) flush.subtract(x);
  }

  // All that would be lost now: what is pending, and what a flush under way covers.
  Set at_risk() const {
    util::MutexLock lock(mutex_);
    Set all = pending_;
    for (const Set &flush : flushing_) all.add(flush);
    return all;
  }

  // Nothing would be lost now.
  bool durable() const {
    util::MutexLock lock(mutex_);
    if (!pending_.empty()) return false;
    for (const Set &flush : flushing_) {
      if (!flush.empty()) return false;
    }
    return true;
  }

 private:
  const Set empty_;
  mutable util::Mutex mutex_;
  Set pending_ ABSL_GUARDED_BY(mutex_);
  std::list<Set> flushing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace durability

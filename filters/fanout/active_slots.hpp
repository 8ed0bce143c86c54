// SPDX-License-Identifier: BSD-3-Clause
//
// fanout-active: how many destinations are served at once. Of those that wait for a slot, the one
// that the command line lists first gets the next one.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <utility>

#include "common/util/mutex.hpp"

namespace fanout {

// May be used from any thread. A destination is named by its place in the command line's order.
class ActiveSlots {
 public:
  // `changed` is called when a slot may have become available, from the thread that made it so,
  // without the lock.
  ActiveSlots(size_t number, std::function<void()> changed)
      : free_(number), changed_(std::move(changed)) {}

  // Whether the destination has got a slot. If not, it waits for one, and asks again after
  // `changed`.
  bool take(size_t destination) {
    util::MutexLock lock(mutex_);
    waiting_.insert(destination);
    if (free_ == 0 || *waiting_.begin() != destination) return false;
    waiting_.erase(destination);
    --free_;
    return true;
  }
  // The destination waits no longer.
  void withdraw(size_t destination) {
    {
      util::MutexLock lock(mutex_);
      if (waiting_.erase(destination) == 0) return;
    }
    changed_();
  }
  void give_back() {
    {
      util::MutexLock lock(mutex_);
      ++free_;
    }
    changed_();
  }

 private:
  util::Mutex mutex_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  std::set<size_t> waiting_ ABSL_GUARDED_BY(mutex_);
  const std::function<void()> changed_;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

#include "common/util/mutex.hpp"

namespace util {

// How many threads wait for something, for another thread that looks after them. May be used from any thread.
class Waiters {
 public:
  // A thread waits, as long as the object.
  class Wait {
   public:
    explicit Wait(Waiters &waiters) : waiters_(waiters) {
      MutexLock lock(waiters_.mutex_);
      ++waiters_.number_;
      waiters_.changed_.notify_all();
    }
    ~Wait() {
      MutexLock lock(waiters_.mutex_);
      --waiters_.number_;
    }
    Wait(const Wait &) = delete;
    Wait &operator=(const Wait &) = delete;

   private:
    Waiters &waiters_;
  };

  // Returns true when one waits, false after stop().
  bool wait_for_one() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (number_ == 0 && !stop_) changed_.wait(lock);
    return !stop_;
  }
  void stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  size_t number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace util

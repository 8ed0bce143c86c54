// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <list>

#include "common/util/mutex.hpp"

namespace util {

// Which threads wait for something, for another thread that looks after them. May be used from any thread.
class Waiters {
 public:
  using Clock = std::chrono::steady_clock;

  // A thread waits, as long as the object.
  class Wait {
   public:
    explicit Wait(Waiters &waiters) : waiters_(waiters) {
      MutexLock lock(waiters_.mutex_);
      begun_ = waiters_.begun_.insert(waiters_.begun_.end(), Clock::now());
      if (waiters_.begun_.size() == 1) waiters_.changed_.notify_all();
    }
    ~Wait() {
      MutexLock lock(waiters_.mutex_);
      waiters_.begun_.erase(begun_);
    }
    Wait(const Wait &) = delete;
    Wait &operator=(const Wait &) = delete;

   private:
    Waiters &waiters_;
    std::list<Clock::time_point>::iterator begun_;
  };

  // Returns true when one has waited for so long, false after stop().
  bool wait_for_one(std::chrono::milliseconds time) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    while (!stop_) {
      if (begun_.empty()) {
        changed_.wait(lock);
      } else if (const auto due = begun_.front() + time; Clock::now() >= due) {
        return true;
      } else {
        changed_.wait_until(lock, due);
      }
    }
    return false;
  }
  void stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::list<Clock::time_point> begun_ ABSL_GUARDED_BY(mutex_);  // of those that wait, in order
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace util

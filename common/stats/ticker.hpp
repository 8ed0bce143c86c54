// SPDX-License-Identifier: BSD-3-Clause
//
// A thread that calls a function periodically: for progress lines and files with counters.
#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "common/util/mutex.hpp"

namespace stats {

// Calls f from a thread of its own, for the first time after one interval. f must not throw. A thread
// does not survive nbdkit's fork: a Ticker must not be created before after_fork.
class Ticker {
 public:
  Ticker(std::chrono::milliseconds interval, std::function<void()> f)
      : thread_([this, interval, f = std::move(f)] {
          for (auto due = Clock::now() + interval; sleep_until(due);
               due = Clock::now() + interval) {
            f();
          }
        }) {}
  // Waits for f if it is running.
  ~Ticker() {
    {
      util::MutexLock lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Ticker(const Ticker &) = delete;
  Ticker &operator=(const Ticker &) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  // False if the ticker is to stop.
  bool sleep_until(Clock::time_point due) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (!stop_ && wake_.wait_until(lock, due)) {
    }
    return !stop_;
  }

  util::Mutex mutex_;
  util::Condition wake_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace stats

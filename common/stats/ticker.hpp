// SPDX-License-Identifier: BSD-3-Clause
//
// Something that is done every few seconds: progress lines, files with counters.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace stats {

// Calls f from a thread of its own, for the first time after one interval. f must not throw. Threads
// do not survive nbdkit's fork: not to be made before after_fork.
class Ticker {
 public:
  Ticker(std::chrono::milliseconds interval, std::function<void()> f)
      : thread_([this, interval, f = std::move(f)] {
          std::unique_lock lock(mutex_);
          while (!wake_.wait_for(lock, interval, [this] { return stop_; })) {
            lock.unlock();
            f();
            lock.lock();
          }
        }) {}
  // Waits for f if it is running.
  ~Ticker() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Ticker(const Ticker &) = delete;
  Ticker &operator=(const Ticker &) = delete;

 private:
  std::mutex mutex_;  // protects stop_
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses what is above
};

}  // namespace stats

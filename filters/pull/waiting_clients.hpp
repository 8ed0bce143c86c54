// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

#include "common/util/mutex.hpp"

namespace pull {

// How many clients wait for the source, for a thread that looks after them. May be used from any thread.
class WaitingClients {
 public:
  // A client waits, as long as the object.
  class Wait {
   public:
    explicit Wait(WaitingClients &clients) : clients_(clients) {
      util::MutexLock lock(clients_.mutex_);
      ++clients_.number_;
      clients_.changed_.notify_all();
    }
    ~Wait() {
      util::MutexLock lock(clients_.mutex_);
      --clients_.number_;
    }
    Wait(const Wait &) = delete;
    Wait &operator=(const Wait &) = delete;

   private:
    WaitingClients &clients_;
  };

  // Returns true when one waits, false after stop().
  bool wait_for_one() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (number_ == 0 && !stop_) changed_.wait(lock);
    return !stop_;
  }
  void stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }

 private:
  util::Mutex mutex_;
  util::Condition changed_;
  size_t number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace pull

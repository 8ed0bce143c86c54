// SPDX-License-Identifier: BSD-3-Clause
//
// All that one client's request has become, until the last of it is over. The client's buffer is
// used by every destination, so the request's thread must not go on before: the destructor waits
// too.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace fanout {

class Gather {
 public:
  Gather() = default;
  ~Gather() { wait(); }
  Gather(const Gather &) = delete;
  Gather &operator=(const Gather &) = delete;

  // The request's thread, before it waits.
  void add() {
    std::lock_guard guard(lock_);
    ++pending_;
  }

  // Any thread, once for each add(). The Gather may be gone when this returns.
  void done() {
    std::lock_guard guard(lock_);
    if (--pending_ == 0) idle_.notify_all();  // under the lock: the waiter destroys it afterwards
  }

  void wait() {
    std::unique_lock guard(lock_);
    idle_.wait(guard, [this] { return pending_ == 0; });
  }

 private:
  std::mutex lock_;  // protects pending_
  std::condition_variable idle_;
  size_t pending_ = 0;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// All that one request has become, until the last of it is over. The caller's buffer is used by every
// destination, so its thread must not go on before: the destructor waits too.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

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

// What went wrong with what one destination was sent: the first of it.
struct Failure {
  int errnum;  // as Completion has it
  std::string what;
};

// May be told of failures from any thread; read when the Gather says that all is over.
class Outcome {
 public:
  void fail(int errnum, const std::string &what) {
    std::lock_guard guard(lock_);
    if (!failure_) failure_ = Failure{errnum, what};
  }
  const std::optional<Failure> &failure() const { return failure_; }
  bool good() const { return !failure_; }

 private:
  std::mutex lock_;  // protects failure_ until all is over
  std::optional<Failure> failure_;
};

}  // namespace fanout

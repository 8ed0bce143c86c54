// SPDX-License-Identifier: BSD-3-Clause
//
// Group commit: many threads ask for the same thing to be made durable, one of them does it for all.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include "common/util/mutex.hpp"

namespace durability {

// The function is of the object and not of a call: a call may be served by the round of another thread. May be used from
// any thread.
template <typename... Args>
class FlushRound {
 public:
  // make_durable: gets what a caller of run() gives, and does the same for each of them.
  explicit FlushRound(std::function<void(Args...)> make_durable)
      : make_durable_(std::move(make_durable)) {}

  // Returns when a round that began after this call has ended, run by this thread or by another one. A
  // round is a call of make_durable(), which makes durable all that was done before it began; no two
  // rounds run at the same time. Throws what that round threw (or a later one, if it ended meanwhile).
  void run(Args... args) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    const uint64_t wanted = begun_ + 1;
    while (ended_ < wanted) {
      if (running_) {
        round_ended_.wait(lock);
        continue;
      }
      running_ = true;
      ++begun_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        make_durable_(args...);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      running_ = false;
      ++ended_;
      failure_ = failure;
      round_ended_.notify_all();
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const std::function<void(Args...)> make_durable_;
  util::Mutex mutex_;  // not held while a round runs
  util::Condition round_ended_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;          // rounds
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;          // rounds
  std::exception_ptr failure_ ABSL_GUARDED_BY(mutex_);  // of the last round
};

}  // namespace durability

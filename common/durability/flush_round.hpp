// SPDX-License-Identifier: BSD-3-Clause
//
// Group commit: many threads ask for the same thing to be made durable, one of them does it for all.
#pragma once

#include <cstdint>
#include <exception>

#include "common/util/mutex.hpp"

namespace durability {

// May be used from any thread.
class FlushRound {
 public:
  // Returns when a round that began after this call has ended, run by this thread or by another one. A
  // round is a call of make_durable(), which makes durable all that was done before it began; no two
  // rounds run at the same time. Throws what that round threw (or a later one, if it ended meanwhile).
  template <typename F>
  void run(F &&make_durable) ABSL_LOCKS_EXCLUDED(mutex_) {
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
        make_durable();
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
  util::Mutex mutex_;  // not held while a round runs
  util::Condition round_ended_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;          // rounds
  uint64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;          // rounds
  std::exception_ptr failure_ ABSL_GUARDED_BY(mutex_);  // of the last round
};

}  // namespace durability

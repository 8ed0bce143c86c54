// SPDX-License-Identifier: BSD-3-Clause
//
// The flushes of one file or layer by several threads. It may tell of a lost write once, by any of them: so one that
// has succeeded counts only when it is known how those before it ended.
#pragma once

#include <cstdint>
#include <set>

#include "common/util/mutex.hpp"

namespace durability {

// The rule: begin() before a flush; when it has returned, and a failure of it has been taken note of, end(). A flush that
// has succeeded then waits; if a failure has been taken note of since its own begin(), what it covers may be lost.
// May be used from any thread.
class FlushesUnderWay {
 public:
  // Returns a number that is greater than 0.
  uint64_t begin() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    numbers_.insert(++last_);
    return last_;
  }

  // One that has ended already may be ended again.
  void end(uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    if (numbers_.erase(number) > 0) ended_.notify_all();
  }

  // Returns when all flushes have ended that began before this call. The caller's own must have ended.
  void wait() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    for (const uint64_t last = last_; !numbers_.empty() && *numbers_.begin() <= last;) {
      ended_.wait(lock);
    }
  }

 private:
  util::Mutex mutex_;  // a leaf
  util::Condition ended_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<uint64_t> numbers_ ABSL_GUARDED_BY(mutex_);  // of those under way
};

}  // namespace durability

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/mutex.hpp"

namespace apply {

// Thrown once the run has failed. Its reason has been logged already.
struct RunFailed : util::Error {
  explicit RunFailed(const std::string &reason) : util::Error(EIO, reason) {}
};

// The run has failed for good: every later request fails with the reason. May be used from any
// thread.
class RunFailure {
 public:
  // False if the run has failed before: the first reason stays.
  bool set(std::string reason) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    if (failed_) return false;
    reason_ = std::move(reason);
    failed_ = true;
    return true;
  }
  bool failed() const { return failed_; }
  // Throws RunFailed if the run has failed.
  void check() const ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!failed_) return;
    util::MutexLock lock(mutex_);
    throw RunFailed(reason_);
  }

 private:
  mutable util::Mutex mutex_;  // held for no I/O; no other lock is taken while it is held
  std::string reason_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> failed_ = false;  // changed under the mutex
};

}  // namespace apply

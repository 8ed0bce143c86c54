// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <exception>
#include <functional>

#include "common/util/mutex.hpp"

namespace qcow2 {

// Group commit: when several threads ask for their changes to be made durable, one does it for all.
class GroupCommit {
 public:
  // round: makes durable what was done before it began. No two rounds run at the same time.
  explicit GroupCommit(std::function<void()> round) : round_(std::move(round)) {}

  // Returns when a round has ended that began after this call, run by this thread or another.
  // Throws what that round threw (or a later round, if one has ended by then).
  void run() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::function<void()> round_;
  util::Mutex mutex_;  // not held while a round runs
  util::Condition ended_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t rounds_begun_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t rounds_ended_ ABSL_GUARDED_BY(mutex_) = 0;
  std::exception_ptr failure_ ABSL_GUARDED_BY(mutex_);  // of the last round
};

}  // namespace qcow2

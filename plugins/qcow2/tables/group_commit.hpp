// SPDX-License-Identifier: BSD-3-Clause
//
// Group commit: many threads ask for the same thing to be made durable, one does it for all.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>

namespace qcow2 {

class GroupCommit {
 public:
  // `round` makes durable what was done before it began; no two rounds run at a time.
  explicit GroupCommit(std::function<void()> round) : round_(std::move(round)) {}

  // Returns when a round that began after this call has ended, run by this thread or another.
  // Throws what that round threw (or a later one, if it ended meanwhile).
  void run();

 private:
  std::function<void()> round_;
  std::mutex mutex_;  // protects what follows; not held while a round runs
  std::condition_variable ended_;
  bool running_ = false;
  uint64_t rounds_begun_ = 0;
  uint64_t rounds_ended_ = 0;
  std::exception_ptr failure_;  // of the last round
};

}  // namespace qcow2

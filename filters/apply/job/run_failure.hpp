// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "common/util/error.hpp"

namespace apply {

// The run has failed for good: every later request fails with the reason. May be used from any
// thread.
class RunFailure {
 public:
  // At most once.
  void set(std::string reason) {
    reason_ = std::move(reason);
    failed_ = true;
  }
  bool failed() const { return failed_; }
  // Throws util::Error EIO if the run has failed.
  void check() const {
    if (failed_) throw util::Error(EIO, reason_);
  }

 private:
  std::string reason_;  // written before failed_ is true, and never after
  std::atomic<bool> failed_ = false;
};

}  // namespace apply

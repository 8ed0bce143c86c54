// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/limiter.hpp"

#include <utility>

namespace fanout {

void Limiter::acquire(Start start) {
  bool granted = false;
  {
    std::lock_guard guard(lock_);
    if (!broken_ && free_ == 0) {
      waiting_.push_back(std::move(start));
      return;
    }
    if (!broken_) {
      --free_;
      granted = true;
    }
  }
  start(granted);
}

void Limiter::release() {
  Start start;
  {
    std::lock_guard guard(lock_);
    if (waiting_.empty()) {
      ++free_;
      return;
    }
    start = std::move(waiting_.front());
    waiting_.pop_front();
  }
  start(true);
}

void Limiter::break_up() {
  std::deque<Start> left;
  {
    std::lock_guard guard(lock_);
    broken_ = true;
    left.swap(waiting_);
  }
  for (auto &start : left) start(false);
}

}  // namespace fanout

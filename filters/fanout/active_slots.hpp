// SPDX-License-Identifier: BSD-3-Clause
//
// How many destinations are served at once, and whose turn it is: of those that want one, the one
// that the command line lists first.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <set>
#include <utility>

namespace fanout {

// May be used from any thread.
class Turns {
 public:
  // `changed` is called, from the thread that gave one back, when there is one to be had.
  Turns(size_t number, std::function<void()> changed)
      : free_(number), changed_(std::move(changed)) {}

  // Whether `who` has one now. If not, it is one of those that want one; it asks again.
  bool take(size_t who) {
    std::lock_guard guard(lock_);
    wanting_.insert(who);
    if (free_ == 0 || *wanting_.begin() != who) return false;
    wanting_.erase(who);
    --free_;
    return true;
  }
  // It wants none any more.
  void withdraw(size_t who) {
    {
      std::lock_guard guard(lock_);
      if (wanting_.erase(who) == 0) return;
    }
    changed_();
  }
  void give_back() {
    {
      std::lock_guard guard(lock_);
      ++free_;
    }
    changed_();
  }

 private:
  std::mutex lock_;  // protects what follows
  size_t free_;
  std::set<size_t> wanting_;
  const std::function<void()> changed_;
};

}  // namespace fanout

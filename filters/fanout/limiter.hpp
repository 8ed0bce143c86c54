// SPDX-License-Identifier: BSD-3-Clause
//
// How many requests a destination is given at once. Nobody blocks here: what may not start yet
// waits in a queue, and is started by whoever gives a unit back.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace fanout {

// May be used from any thread.
class Limiter {
 public:
  // Called once for each acquire(): true: it holds a unit, which is to be released; false: the
  // limiter was broken first, it holds nothing. Must not block.
  using Start = std::function<void(bool granted)>;

  explicit Limiter(size_t units) : free_(units) {}

  // Calls `start` at once if a unit is free; else, in the order of the calls, when there is one.
  void acquire(Start start);
  // Gives a unit back: the first in the queue has it, and is started from this thread.
  void release();
  // Ends the queue: all that waits, and all that comes, is started with false.
  void break_up();

 private:
  std::mutex lock_;  // protects what follows; not held while anything is started
  size_t free_;
  bool broken_ = false;
  std::deque<Start> waiting_;
};

}  // namespace fanout

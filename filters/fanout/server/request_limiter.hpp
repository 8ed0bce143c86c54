// SPDX-License-Identifier: BSD-3-Clause
//
// How many requests a destination is given at once, and how many bytes a second. Nobody blocks here:
// what may not start yet waits in a queue, and is started by whoever gives a unit back, or by the
// limiter's own thread when the rate allows it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "filters/fanout/server/bucket.hpp"

namespace fanout {

// May be used from any thread.
class Limiter {
 public:
  // Called once for each acquire(): true: it holds a unit, which is to be released; false: the
  // limiter was broken first, it holds nothing. Must not block.
  using Start = std::function<void(bool granted)>;

  // `rate`: bytes a second; 0: no limit, and then no thread.
  explicit Limiter(size_t units, uint64_t rate = 0);
  ~Limiter();
  Limiter(const Limiter &) = delete;
  Limiter &operator=(const Limiter &) = delete;

  // Calls `start` at once if a unit and the rate allow it; else, in the order of the calls, when they
  // do. `bytes`: what it counts for in the rate.
  void acquire(Start start, uint64_t bytes = 0);
  // Gives a unit back: the first in the queue may have it, and is then started from this thread.
  void release();
  // Ends the queue: all that waits, and all that comes, is started with false.
  void break_up();

 private:
  struct Waiting {
    Start start;
    uint64_t bytes;
  };
  void start_what_may();
  void keep_time();

  std::mutex lock_;  // protects what follows; not held while anything is started
  size_t free_;
  bool broken_ = false, ended_ = false;
  Bucket bucket_;
  std::deque<Waiting> waiting_;
  std::condition_variable changed_;  // for the thread
  std::thread thread_;
};

}  // namespace fanout

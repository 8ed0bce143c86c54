// SPDX-License-Identifier: BSD-3-Clause
//
// Limits the requests of a destination: how many are in flight, and how many bytes go out in a
// second (a token bucket). No caller blocks: a request that may not start yet waits in a queue. It
// is started by the thread that releases another, or, when the rate allows it, by the limiter's own
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <thread>

#include "common/util/mutex.hpp"

namespace fanout {

// May be used from any thread.
class RequestLimiter {
 public:
  // What waits in the queue. It must live until start() or reject() is called.
  class Waiter {
   public:
    Waiter(const Waiter &) = delete;
    Waiter &operator=(const Waiter &) = delete;

   protected:
    Waiter() = default;
    ~Waiter() = default;

   private:
    friend class RequestLimiter;
    // One of these is called, once for each acquire(), without the limiter's lock. Must not block.
    // May destroy the waiter.
    virtual void start() = 0;   // it may be sent, and release() must follow
    virtual void reject() = 0;  // the limiter is closed; no release()
    uint64_t bytes_ = 0;
  };

  // `rate`: bytes a second; 0: no limit, and then there is no thread.
  explicit RequestLimiter(size_t requests, uint64_t rate = 0);
  ~RequestLimiter();
  RequestLimiter(const RequestLimiter &) = delete;
  RequestLimiter &operator=(const RequestLimiter &) = delete;

  // Starts the waiter now if the limits allow it, else later, in the order of the calls. `bytes`:
  // what it counts towards the rate.
  void acquire(Waiter &waiter, uint64_t bytes = 0) ABSL_LOCKS_EXCLUDED(mutex_);
  // A request is over. Starts the next one on this thread.
  void release() ABSL_LOCKS_EXCLUDED(mutex_);
  // Rejects everything that waits, and everything that is acquired later.
  void close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  void start_allowed() ABSL_LOCKS_EXCLUDED(mutex_);
  void run_timer() ABSL_LOCKS_EXCLUDED(mutex_);
  Clock::time_point refill(Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double bucket_capacity() const { return rate_ / 4; }

  const double rate_;
  util::Mutex mutex_;  // not held while a waiter is called
  size_t free_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiter *> waiting_ ABSL_GUARDED_BY(mutex_);
  // Bytes that may go out now. A request may take more than there is; the next then waits until the
  // level is positive again. So over any time t at most rate * (t + 1/4 s) and one request go out.
  double level_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point refilled_ ABSL_GUARDED_BY(mutex_);
  util::Condition changed_;  // wakes the timer
  std::thread timer_;
};

}  // namespace fanout

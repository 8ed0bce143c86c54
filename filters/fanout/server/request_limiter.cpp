// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/request_limiter.hpp"

#include <algorithm>

namespace fanout {

RequestLimiter::RequestLimiter(size_t requests, uint64_t rate)
    : rate_(static_cast<double>(rate)),
      free_(requests),
      level_(bucket_capacity()),
      refilled_(Clock::now()) {
  if (rate_ > 0) timer_ = std::thread([this] { run_timer(); });
}

RequestLimiter::~RequestLimiter() {
  if (!timer_.joinable()) return;
  {
    util::MutexLock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  timer_.join();
}

void RequestLimiter::acquire(Waiter &waiter, uint64_t bytes) {
  waiter.bytes_ = bytes;
  bool accepted = false;
  {
    util::MutexLock lock(mutex_);
    if (!closed_) {
      waiting_.push_back(&waiter);
      accepted = true;
    }
  }
  // Another thread may have started the waiter, and it may be gone.
  if (accepted) {
    start_allowed();
  } else {
    waiter.reject();
  }
}

void RequestLimiter::release() {
  {
    util::MutexLock lock(mutex_);
    ++free_;
  }
  start_allowed();
}

void RequestLimiter::start_allowed() {
  for (;;) {
    Waiter *next = nullptr;
    {
      util::MutexLock lock(mutex_);
      if (waiting_.empty() || free_ == 0) return;
      if (rate_ > 0) {
        auto now = Clock::now();
        if (refill(now) > now) {
          changed_.notify_all();
          return;
        }
      }
      next = waiting_.front();
      level_ -= static_cast<double>(next->bytes_);
      waiting_.pop_front();
      --free_;
    }
    next->start();
  }
}

void RequestLimiter::close() {
  std::deque<Waiter *> rejected;
  {
    util::MutexLock lock(mutex_);
    closed_ = true;
    rejected.swap(waiting_);
  }
  for (Waiter *waiter : rejected) waiter->reject();
}

// Adds what has accrued since the last call. Returns when the level is positive.
RequestLimiter::Clock::time_point RequestLimiter::refill(Clock::time_point now) {
  level_ = std::min(bucket_capacity(),
                    level_ + rate_ * std::chrono::duration<double>(now - refilled_).count());
  refilled_ = now;
  if (level_ > 0) return now;
  constexpr double margin = 0.001;  // seconds, so that rounding makes no busy loop
  return now + std::chrono::duration_cast<Clock::duration>(
                   std::chrono::duration<double>(margin - level_ / rate_));
}

void RequestLimiter::run_timer() {
  util::MutexLock lock(mutex_);
  while (!ended_) {
    if (waiting_.empty() || free_ == 0) {
      changed_.wait(lock);
      continue;
    }
    auto now = Clock::now();
    auto ready = refill(now);
    if (ready > now) {
      changed_.wait_until(lock, ready);
      continue;
    }
    lock.unlock();
    start_allowed();
    lock.lock();
  }
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/request_limiter.hpp"

#include <utility>

namespace fanout {

Limiter::Limiter(size_t units, uint64_t rate) : free_(units), bucket_(rate, Bucket::Clock::now()) {
  if (bucket_.limited()) thread_ = std::thread([this] { keep_time(); });
}

Limiter::~Limiter() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard guard(lock_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Limiter::acquire(Start start, uint64_t bytes) {
  {
    std::lock_guard guard(lock_);
    if (!broken_) waiting_.push_back({std::exchange(start, nullptr), bytes});
  }
  if (start) return start(false);
  start_what_may();
}

void Limiter::release() {
  {
    std::lock_guard guard(lock_);
    ++free_;
  }
  start_what_may();
}

void Limiter::start_what_may() {
  for (;;) {
    Start start;
    {
      std::lock_guard guard(lock_);
      if (waiting_.empty() || free_ == 0) return;
      auto now = Bucket::Clock::now();
      if (bucket_.ready(now) > now) {
        changed_.notify_all();
        return;
      }
      bucket_.take(waiting_.front().bytes);
      start = std::move(waiting_.front().start);
      waiting_.pop_front();
      --free_;
    }
    start(true);
  }
}

void Limiter::break_up() {
  std::deque<Waiting> left;
  {
    std::lock_guard guard(lock_);
    broken_ = true;
    left.swap(waiting_);
  }
  for (auto &one : left) one.start(false);
}

void Limiter::keep_time() {
  std::unique_lock guard(lock_);
  while (!ended_) {
    if (waiting_.empty() || free_ == 0) {
      changed_.wait(guard);
      continue;
    }
    auto now = Bucket::Clock::now();
    auto ready = bucket_.ready(now);
    if (ready > now) {
      changed_.wait_until(guard, ready);
      continue;
    }
    guard.unlock();
    start_what_may();
    guard.lock();
  }
}

}  // namespace fanout

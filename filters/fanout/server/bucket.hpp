// SPDX-License-Identifier: BSD-3-Clause
//
// A token bucket: how fast bytes may go out.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace fanout {

// Not synchronised. What is taken may exceed what there is: what follows then waits for it. So over
// any time t no more than rate * (t + 1/4 s) goes out, and one request.
class Bucket {
 public:
  using Clock = std::chrono::steady_clock;

  // `rate`: bytes a second; 0: no limit.
  Bucket(uint64_t rate, Clock::time_point now)
      : rate_(static_cast<double>(rate)), level_(capacity()), last_(now) {}

  bool limited() const { return rate_ > 0; }

  // From when on something may be taken.
  Clock::time_point ready(Clock::time_point now) {
    if (!limited()) return now;
    level_ =
        std::min(capacity(), level_ + rate_ * std::chrono::duration<double>(now - last_).count());
    last_ = now;
    if (level_ > 0) return now;
    constexpr double moment = 0.001;  // seconds, so that rounding makes nobody turn on the spot
    return now + std::chrono::duration_cast<Clock::duration>(
                     std::chrono::duration<double>(moment - level_ / rate_));
  }
  void take(uint64_t bytes) { level_ -= static_cast<double>(bytes); }

 private:
  double capacity() const { return rate_ / 4; }
  double rate_, level_;
  Clock::time_point last_;
};

}  // namespace fanout

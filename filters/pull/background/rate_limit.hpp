// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace pull {

// Bytes a second. Not synchronised.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  explicit RateLimit(uint64_t rate) : rate_(static_cast<double>(rate)) {}  // 0: no limit

  // When the next bytes may be taken; in the past if they may now.
  Clock::time_point next() const { return next_; }
  // What was not taken for a quarter of a second is forgone.
  void take(uint64_t bytes, Clock::time_point now) {
    if (rate_ == 0) return;
    const std::chrono::duration<double> time(static_cast<double>(bytes) / rate_);
    next_ = std::max(next_, now - std::chrono::milliseconds(250)) +
            std::chrono::duration_cast<Clock::duration>(time);
  }

 private:
  const double rate_;
  Clock::time_point next_{};
};

}  // namespace pull

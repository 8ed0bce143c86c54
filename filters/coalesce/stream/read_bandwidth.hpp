// SPDX-License-Identifier: BSD-3-Clause
//
// How fast a client reads.
#pragma once

#include <chrono>
#include <cstdint>

namespace coalesce {

// The bandwidth of one stream, measured over intervals of at least 100 ms. Not synchronised.
class ReadBandwidth {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `bytes_read`: in all so far.
  void observe(uint64_t bytes_read, Time now) {
    if (since_ == Time{}) {
      since_ = now;
      bytes_at_start_ = bytes_read;
      return;
    }
    std::chrono::duration<double> interval = now - since_;
    if (interval < std::chrono::milliseconds(100)) return;
    bytes_per_second_ = static_cast<double>(bytes_read - bytes_at_start_) / interval.count();
    since_ = now;
    bytes_at_start_ = bytes_read;
  }

  // 0 until the first interval has passed.
  double bytes_per_second() const { return bytes_per_second_; }

 private:
  Time since_{};
  uint64_t bytes_at_start_ = 0;  // of the interval that began at since_
  double bytes_per_second_ = 0;
};

}  // namespace coalesce

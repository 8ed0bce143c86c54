// SPDX-License-Identifier: BSD-3-Clause
//
// How far ahead of a reader it pays to read.
#pragma once

#include <chrono>
#include <cstdint>

namespace coalesce {

// What a reader consumes while a fetch is on its way must have been fetched before: its bandwidth
// times the latency of a fetch. Twice that, for a reader that was short of data has shown less than
// it can do. Not synchronised.
class Depth {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The bandwidth of one reader, over the last tenths of a second.
  class Rate {
   public:
    // `read`: bytes so far.
    void observe(uint64_t read, Time now) {
      if (since_ == Time{}) {
        since_ = now;
        read_then_ = read;
        return;
      }
      std::chrono::duration<double> span = now - since_;
      if (span < std::chrono::milliseconds(100)) return;
      bytes_a_second_ = static_cast<double>(read - read_then_) / span.count();
      since_ = now;
      read_then_ = read;
    }
    double bytes_a_second() const { return bytes_a_second_; }

   private:
    Time since_{};
    uint64_t read_then_ = 0;
    double bytes_a_second_ = 0;
  };

  // One chunk has come after so long.
  void fetched(std::chrono::nanoseconds took) {
    std::chrono::duration<double> seconds = took;
    latency_ = latency_ == 0 ? seconds.count() : latency_ + (seconds.count() - latency_) / 8;
  }

  // Bytes; 0 as long as nothing is known.
  uint64_t bytes(const Rate &rate) const {
    return static_cast<uint64_t>(2 * rate.bytes_a_second() * latency_);
  }

 private:
  double latency_ = 0;  // seconds, the average of about the last eight
};

}  // namespace coalesce

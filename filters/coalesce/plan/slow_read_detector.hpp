// SPDX-License-Identifier: BSD-3-Clause
//
// Whether reading ahead can gain anything.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace coalesce {

// Judges the layer below by the small reads that go straight to it. One that answers out of memory
// is best left alone: every byte read ahead is copied once more. Not synchronised.
class Pace {
 public:
  // `fast`: below this a read is not worth hiding; 0: every read is.
  explicit Pace(std::chrono::microseconds fast) : fast_(fast) {}

  // One read that took `wall` in all; `slept`: its thread has waited for something.
  void sample(std::chrono::nanoseconds wall, bool slept) {
    bool slow = slept && wall > fast_;
    history_ = (history_ << 1 | (slow ? 1u : 0u)) & 0xffu;
    if (count_ < 8) ++count_;
  }

  // Most of the last reads were slow. A thread that had to wait for a processor now and then is no
  // evidence, so three are needed at least.
  bool slow() const {
    if (fast_.count() == 0) return true;
    int slow = __builtin_popcount(history_);
    return count_ >= 3 && slow * 4 > count_ * 3;
  }

 private:
  const std::chrono::nanoseconds fast_;
  unsigned history_ = 0;  // a bit a read, the last one lowest: 1 = slow
  int count_ = 0;
};

// Measures one read of the calling thread.
class Stopwatch {
 public:
  Stopwatch() : start_(std::chrono::steady_clock::now()), sleeps_(sleeps()) {}
  std::chrono::nanoseconds wall() const { return std::chrono::steady_clock::now() - start_; }
  bool slept() const { return sleeps() != sleeps_; }

 private:
  static long sleeps() {
    struct rusage usage = {};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  }
  std::chrono::steady_clock::time_point start_;
  long sleeps_;
};

}  // namespace coalesce

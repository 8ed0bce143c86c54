// SPDX-License-Identifier: BSD-3-Clause
//
// Decides whether the layer below is slow enough for read-ahead to pay.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace coalesce {

// Fed with the small reads that go straight to the layer below. A layer that answers from memory is
// better left alone, as everything read ahead is copied once more. Not synchronised.
class SlowReadDetector {
 public:
  // A read that takes no longer than this is fast. 0: every read is slow.
  explicit SlowReadDetector(std::chrono::microseconds fast_read) : fast_read_(fast_read) {}

  // One read took `elapsed`; `slept`: its thread was blocked meanwhile.
  void add(std::chrono::nanoseconds elapsed, bool slept) {
    bool slow = slept && elapsed > fast_read_;
    if (slept && elapsed > 8 * fast_read_) ++very_slow_;
    history_ = (history_ << 1 | (slow ? 1u : 0u)) & 0xffu;
    if (count_ < 8) ++count_;
  }

  // Most of the last eight reads were slow. At least three are needed, since a thread may also have
  // waited for a processor, or two that were very slow.
  bool slow() const {
    if (fast_read_.count() == 0) return true;
    if (count_ == 2 && very_slow_ == 2) return true;
    int slow = __builtin_popcount(history_);
    return count_ >= 3 && slow * 4 > count_ * 3;
  }
  // The last eight reads were fast.
  bool fast() const { return fast_read_.count() != 0 && count_ == 8 && history_ == 0; }
  // The next reads decide.
  void forget() { count_ = 0, history_ = 0, very_slow_ = 0; }

 private:
  const std::chrono::nanoseconds fast_read_;
  unsigned history_ = 0;  // a bit for each read, the latest in bit 0: 1 = slow
  int count_ = 0;
  unsigned very_slow_ = 0;  // reads that were, in all
};

// Measures one read of the calling thread.
class ReadTimer {
 public:
  ReadTimer() : start_(std::chrono::steady_clock::now()), switches_(voluntary_switches()) {}
  std::chrono::nanoseconds elapsed() const { return std::chrono::steady_clock::now() - start_; }
  bool slept() const { return voluntary_switches() != switches_; }

 private:
  static long voluntary_switches() {
    struct rusage usage = {};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  }
  std::chrono::steady_clock::time_point start_;
  long switches_;
};

}  // namespace coalesce

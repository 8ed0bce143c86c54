// SPDX-License-Identifier: BSD-3-Clause
//
// Whether reads pass by the read-ahead.
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace coalesce {

// Where the layer below answers at once, there is nothing to gain: reads go straight to it, and take no lock
// and no part in anything. Each is timed, so that a layer that becomes slow is noticed. Any thread may call any
// method.
class StepAside {
 public:
  // A read that takes no longer than this is fast.
  explicit StepAside(std::chrono::microseconds fast_read) : fast_read_(fast_read) {}

  bool on() const { return on_.load(std::memory_order_relaxed); }
  void begin() { on_.store(true, std::memory_order_relaxed); }

  // A read that has passed by took so long. Returns true, once, if that ends it: half of the last eight were
  // slow. (One may have waited for a processor.)
  bool ended_by(std::chrono::nanoseconds took) {
    const bool slow = took > fast_read_;
    uint32_t recent = recent_.load(std::memory_order_relaxed);
    if (!slow && recent == 0) return false;  // nothing to write: the usual case
    recent = (recent << 1 | (slow ? 1u : 0u)) & 0xffu;
    if (std::popcount(recent) < 4) {
      recent_.store(recent, std::memory_order_relaxed);
      return false;
    }
    recent_.store(0, std::memory_order_relaxed);
    return on_.exchange(false, std::memory_order_relaxed);
  }

 private:
  const std::chrono::nanoseconds fast_read_;
  std::atomic<bool> on_ = false;
  std::atomic<uint32_t> recent_ =
      0;  // a bit for each read; one that another thread overwrites does not matter
};

}  // namespace coalesce

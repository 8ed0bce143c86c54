// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/plan/window.hpp"

#include <algorithm>

namespace coalesce {

void ReadAheadWindow::fetched(std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  latency_ = latency_ == 0 ? seconds : latency_ + (seconds - latency_) / 8;
}

uint64_t ReadAheadWindow::bandwidth_delay(const ReadBandwidth &bandwidth) const {
  return static_cast<uint64_t>(2 * bandwidth.bytes_per_second() * latency_);
}

uint64_t ReadAheadWindow::bytes(const Stream &stream, uint64_t memory) const {
  const uint64_t product = bandwidth_delay(stream.bandwidth);
  const uint64_t useful = product == 0 ? 2 * all_busy_ : std::max(all_busy_, product);
  const uint64_t grown = std::max(4 * stream.bytes_read, smallest);
  return std::min({memory, useful, grown});
}

}  // namespace coalesce

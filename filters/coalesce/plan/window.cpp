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

uint64_t ReadAheadWindow::grown(const Stream &stream) {
  // Gaps that are read are in a window and not in bytes_read: with a factor of 4 and as much in gaps as in data it
  // would take twice as many fetches to grow.
  return std::max(8 * stream.bytes_read, smallest);
}

uint64_t ReadAheadWindow::bytes(const Stream &stream, uint64_t memory) const {
  const uint64_t product = bandwidth_delay(stream.bandwidth);
  const uint64_t useful = product == 0 ? 2 * all_busy_ : std::max(all_busy_, product);
  return std::min({memory, useful, grown(stream)});
}

}  // namespace coalesce

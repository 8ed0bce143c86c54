// SPDX-License-Identifier: BSD-3-Clause
//
// The size of the read-ahead window: how much is read ahead of a stream.
#pragma once

#include <chrono>
#include <cstdint>

#include "filters/coalesce/settings.hpp"
#include "filters/coalesce/stream/stream.hpp"

namespace coalesce {

// The data that a client reads while a fetch is under way must have been fetched before: its bandwidth
// times the latency of a fetch. The window is twice that, since a client that had to wait for data has
// not shown its full bandwidth. Not synchronised.
class ReadAheadWindow {
 public:
  // The smallest window, and the smallest chunk where there is a choice; bytes.
  static constexpr uint64_t smallest = 64u << 10;

  explicit ReadAheadWindow(const Settings &settings)
      : all_busy_(settings.chunk * (settings.workers + 1)) {}

  // The fetch of a chunk took so long.
  void fetched(std::chrono::nanoseconds took);

  // The window of a stream that may use so much memory, in bytes. It grows with what the stream has
  // read, so that little is wasted on a short one, to twice the product of bandwidth and latency, but
  // at least to one chunk for each worker and one for the client. Until the product is known, it
  // grows to twice the latter.
  uint64_t bytes(const Stream &stream, uint64_t memory) const;

  // It has not read enough to be worth a chunk for each worker.
  bool growing(const Stream &stream) const { return grown(stream) < all_busy_; }

  // Twice the product of bandwidth and latency, in bytes; 0 until both are known.
  uint64_t bandwidth_delay(const ReadBandwidth &bandwidth) const;

 private:
  static uint64_t grown(const Stream &stream);

  const uint64_t all_busy_;  // bytes
  double latency_ = 0;       // seconds; a moving average over about eight fetches
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
//
// What the parameters and the layer below come to, for one export.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

struct Settings {
  uint64_t size = 0;          // of the disk; bytes
  uint64_t gap = 1u << 20;    // PlanLimits::gap, at most
  bool measure_gap = false;   // a gap that takes longer than one more read is not read
  uint64_t chunk = 4u << 20;  // PlanLimits::chunk
  uint64_t block = 1;         // the minimum block size of the layer below; a power of two
  unsigned workers = 4;       // threads; 0: a request fetches the chunk that it needs itself
  std::chrono::microseconds fast_read{300};   // see SlowReadDetector
  std::vector<extents::Range> priority = {};  // read ahead first, in this order, before any request
};

}  // namespace coalesce

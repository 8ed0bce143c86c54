// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"

namespace pull {

// How long the source may take, and how often it is tried.
struct Patience {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds request{60'000};
  unsigned retries = 3;                          // after the first attempt
  std::chrono::milliseconds retry_delay{1'000};  // before the first of them, then doubled
  std::chrono::milliseconds retry_max{30'000};   // the longest
  bool is_final = false;  // the background does not wait for the source after the retries either
};

struct Settings {
  std::string uri;         // of the source
  std::string state_path;  // absolute; empty with copy
  std::string stats_path;  // absolute; empty: none
  bool copy = false;       // fetch the source's delta without clients and without a state, then end
  bool any_image = false;
  unsigned workers = 32;
  unsigned connections = 4;
  uint64_t chunk = 1u << 20;    // bytes; a power of two
  uint64_t memory = 64u << 20;  // bytes
  uint64_t rate = 0;            // bytes a second in the background; 0: no limit
  std::vector<extents::Range> priority;
  Patience patience;
};

}  // namespace pull

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace pull {

// Bytes since the start of the server. Written from any thread.
struct Counters {
  std::atomic<uint64_t> fetched = 0;        // read from the source
  std::atomic<uint64_t> on_demand = 0;      // of these: because a client waited
  std::atomic<uint64_t> in_background = 0;  // and the others
  std::atomic<uint64_t> zeroes = 0;   // of the source: written as zeroes, or left where zeroes were
  std::atomic<uint64_t> read = 0;     // by clients
  std::atomic<uint64_t> written = 0;  // by clients, zeroes included
};

// What changes in both directions, when it is asked for.
struct Gauges {
  uint64_t size, missing, owed;  // bytes
  bool connected;                // to the source
  uint64_t retries;              // attempts to connect to it after a failure, so far
};

// In Prometheus' text format.
std::string prometheus_text(const Counters &counters, const Gauges &gauges);

}  // namespace pull

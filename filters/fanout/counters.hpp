// SPDX-License-Identifier: BSD-3-Clause
//
// The counters of a destination, since the start of the server.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fanout {

// Written from any thread.
struct Counters {
  explicit Counters(std::string destination) : name(std::move(destination)) {}

  const std::string name;
  std::atomic<uint64_t> bytes = 0;       // written and acknowledged by the server
  std::atomic<uint64_t> zero_bytes = 0;  // zeroed and acknowledged, also where zeroes were written
  std::atomic<uint64_t> requests = 0;    // acknowledged, of any kind
  std::atomic<uint64_t> in_flight = 0;   // requests
  std::atomic<uint64_t> copied = 0;      // bytes copied from the primary to catch up
  std::atomic<uint64_t> owed = 0;        // bytes, when they were last sampled
  std::atomic<uint64_t> in_sync = 0;     // 1: connected, and nothing is owed
  std::atomic<uint64_t> retries = 0;     // attempts to connect after a failure
  std::atomic<uint64_t> verify_mismatches = 0;  // blocks that fanout-verify found to differ
};
using CountersList = std::vector<std::unique_ptr<Counters>>;

// The counters of all destinations, in Prometheus' text format.
std::string prometheus_text(const CountersList &list);

}  // namespace fanout

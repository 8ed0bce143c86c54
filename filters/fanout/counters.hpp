// SPDX-License-Identifier: BSD-3-Clause
//
// What has been done for a destination since the server started.
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
  std::atomic<uint64_t> bytes = 0;        // written, and acknowledged by the server
  std::atomic<uint64_t> zero_bytes = 0;   // the same for zeroes, however they were sent
  std::atomic<uint64_t> requests = 0;     // acknowledged, of whatever kind
  std::atomic<uint64_t> in_flight = 0;    // at the server now
  std::atomic<uint64_t> copied = 0;       // bytes copied from the primary to catch up
  std::atomic<uint64_t> owed = 0;         // bytes that it is behind, as of the last look
  std::atomic<uint64_t> live = 0;         // 1: connected, and not behind
  std::atomic<uint64_t> retries = 0;      // attempts to connect after something had gone wrong
  std::atomic<uint64_t> differences = 0;  // blocks that were read back and were not as written
};
using CountersList = std::vector<std::unique_ptr<Counters>>;

// The counters of all destinations, in Prometheus' text format.
std::string prometheus_text(const CountersList &list);

}  // namespace fanout

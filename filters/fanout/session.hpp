// SPDX-License-Identifier: BSD-3-Clause
//
// The connections to all destinations, from the first client's arrival until the last has gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/util/log.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/fan.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

// Connects to each destination once and disconnects, all at the same time. Throws the first one's
// error. Leaves no thread behind.
void probe(const std::vector<Settings> &list);

class Session {
 public:
  // Connects to all at the same time; throws if one fails, or does not fit the primary. `counters`
  // has one for each of the settings, and outlives it.
  Session(const std::vector<Settings> &settings, const CountersList &counters,
          uint64_t primary_size, util::Log log);
  // Disconnects, and tells what each destination was given.
  ~Session();

  Fan &fan() { return fan_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Start {
    uint64_t bytes, zero_bytes, requests;
  };

  const util::Log log_;
  const Clock::time_point began_ = Clock::now();
  Fan fan_;
  std::vector<Start> start_;
};

}  // namespace fanout

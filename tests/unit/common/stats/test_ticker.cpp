// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>

#include "common/stats/ticker.hpp"

using namespace stats;
using namespace std::chrono_literals;

TEST_CASE("a ticker ticks until it is destroyed") {
  std::atomic<int> ticks = 0;
  {
    Ticker ticker(1ms, [&] {
      ++ticks;
      ticks.notify_all();
    });
    for (int seen = 0; seen < 3; seen = ticks) ticks.wait(seen);
  }
  int after = ticks;
  CHECK(after >= 3);
  CHECK(ticks == after);
}

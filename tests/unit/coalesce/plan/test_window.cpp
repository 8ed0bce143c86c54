// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/plan/window.hpp"

using namespace coalesce;
using namespace std::chrono_literals;

TEST_CASE("the bandwidth-delay product is what a client reads during two fetches") {
  const Settings settings;
  ReadAheadWindow window(settings);
  ReadBandwidth bandwidth;
  ReadBandwidth::Time now{1h};
  CHECK(window.bandwidth_delay(bandwidth) == 0);
  window.fetched(50ms);
  bandwidth.observe(0, now);
  bandwidth.observe(1000, now + 50ms);  // too soon to tell
  CHECK(window.bandwidth_delay(bandwidth) == 0);
  bandwidth.observe(10'000'000, now + 100ms);
  CHECK(window.bandwidth_delay(bandwidth) == Approx(10'000'000).epsilon(0.01));
  for (int i = 0; i < 100; ++i) window.fetched(5ms);
  CHECK(window.bandwidth_delay(bandwidth) == Approx(1'000'000).epsilon(0.01));
}

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/background/fetch_depth.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using pull::FetchDepth;
using namespace std::chrono_literals;

namespace {

// The depth in the end, with a source that answers after `latency`, and brings one chunk in each `each`.
unsigned settled(FetchDepth &depth, std::chrono::microseconds latency,
                 std::chrono::microseconds each) {
  for (int i = 0; i < 1000; ++i) depth.fetched(std::max(latency, depth.now() * each), false);
  return depth.now();
}

}  // namespace

TEST_CASE("a far source is asked for as much as is under way, and for a few more") {
  FetchDepth depth(32);
  CHECK(depth.now() == 2);
  const unsigned far = settled(depth, 20ms, 1ms);
  CHECK(far >= 20);
  CHECK(far < 32);
}

TEST_CASE("more is not asked for than there are threads") {
  FetchDepth depth(8), one(1);
  CHECK(settled(depth, 100ms, 1ms) == 8);
  CHECK(settled(one, 100ms, 1ms) == 1);
}

TEST_CASE("a near source, and one that has become slower, are asked for a few") {
  FetchDepth near(32), slower(32);
  CHECK(settled(near, 1ms, 1ms) <= 15);
  settled(slower, 20ms, 500us);
  const unsigned before = slower.now();
  CHECK(settled(slower, 20ms, 10ms) < before);
}

TEST_CASE("beside a client two are fetched") {
  FetchDepth depth(32);
  settled(depth, 20ms, 1ms);
  depth.fetched(20ms, true);
  CHECK(depth.now() == 2);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/plan/slow_read_detector.hpp"

using namespace coalesce;
using std::chrono::microseconds;

TEST_CASE("a layer is slow if most of its reads are") {
  SlowReadDetector detector(microseconds(300));
  CHECK_FALSE(detector.slow());
  detector.add(microseconds(1000), true);
  detector.add(microseconds(1000), true);
  CHECK_FALSE(detector.slow());
  detector.add(microseconds(1000), true);
  CHECK(detector.slow());
  detector.add(microseconds(1000), false);  // it was the processor that was busy
  detector.add(microseconds(100), true);
  CHECK_FALSE(detector.slow());
  CHECK(SlowReadDetector(microseconds(0)).slow());
}

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

TEST_CASE("at the start two very slow reads are enough, later they are not") {
  SlowReadDetector detector(microseconds(300));
  detector.add(microseconds(2401), true);
  CHECK_FALSE(detector.slow());
  detector.add(microseconds(2401), true);
  CHECK(detector.slow());

  SlowReadDetector busy(microseconds(300));  // the processor is
  busy.add(microseconds(5000), true);
  busy.add(microseconds(5000), false);
  CHECK_FALSE(busy.slow());

  SlowReadDetector fast(microseconds(300));
  for (int i = 0; i < 8; ++i) fast.add(microseconds(10), true);
  for (int i = 0; i < 2; ++i) fast.add(microseconds(5000), true);
  CHECK_FALSE(fast.slow());
  fast.forget();
  fast.add(microseconds(5000), true);
  fast.add(microseconds(310), true);
  CHECK_FALSE(fast.slow());
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/plan/slow_read_detector.hpp"
#include "filters/coalesce/plan/step_aside.hpp"

using namespace coalesce;
using std::chrono::microseconds;

TEST_CASE(
    "stepping aside ends when half of the last eight reads were slow, and not by one that waited") {
  StepAside aside(microseconds(300));
  CHECK_FALSE(aside.on());
  aside.begin();
  CHECK(aside.on());
  for (int i = 0; i < 3; ++i) CHECK_FALSE(aside.ended_by(microseconds(5000)));
  for (int i = 0; i < 8; ++i) CHECK_FALSE(aside.ended_by(microseconds(300)));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(aside.ended_by(microseconds(301)));
  CHECK(aside.on());
  CHECK(aside.ended_by(microseconds(301)));
  CHECK_FALSE(aside.on());
}

TEST_CASE("of several threads whose reads are slow one ends it") {
  StepAside aside(microseconds(300));
  aside.begin();
  int ended = 0;
  for (int i = 0; i < 20; ++i) ended += aside.ended_by(microseconds(5000)) ? 1 : 0;
  CHECK(ended == 1);
}

TEST_CASE("a layer is fast if none of the last eight reads was slow") {
  SlowReadDetector detector(microseconds(300));
  for (int i = 0; i < 7; ++i) detector.add(microseconds(100), true);
  CHECK_FALSE(detector.fast());
  detector.add(microseconds(100), true);
  CHECK(detector.fast());
  detector.add(microseconds(1000), true);
  CHECK_FALSE(detector.fast());
  detector.forget();
  for (int i = 0; i < 3; ++i) detector.add(microseconds(1000), true);
  CHECK(detector.slow());  // three are enough again
  SlowReadDetector always(microseconds(0));
  for (int i = 0; i < 8; ++i) always.add(microseconds(0), false);
  CHECK_FALSE(always.fast());
}

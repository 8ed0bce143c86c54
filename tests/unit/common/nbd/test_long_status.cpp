// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/nbd/long_status.hpp"

TEST_CASE("a request for block status stays within 32 bits where the server has no more") {
  nbd::StatusStep step(false);
  for (int i = 0; i < 20; ++i) step.answered(1, true);
  CHECK(step.bytes() <= UINT32_MAX);
}

TEST_CASE(
    "a request for block status grows while the answers are short, and shrinks when they are not") {
  nbd::StatusStep step(true);
  const uint64_t first = step.bytes();
  CHECK(first <= UINT32_MAX);
  for (int i = 0; i < 5; ++i) step.answered(3, true);
  const uint64_t large = step.bytes();
  CHECK(large >= uint64_t{1} << 50);
  step.answered(100'000, true);
  CHECK(step.bytes() < large);
  step.answered(3, false);  // a part of what was asked
  CHECK(step.bytes() < large / 100);
  for (int i = 0; i < 100; ++i) step.answered(3, false);
  CHECK(step.bytes() == first);
  for (int i = 0; i < 100; ++i) step.answered(3, true);
  CHECK(step.bytes() <= uint64_t{1} << 62);  // what an offset can be
  CHECK(step.bytes() >= large);
}

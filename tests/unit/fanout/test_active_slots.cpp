// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/fanout/active_slots.hpp"

using fanout::ActiveSlots;

TEST_CASE("slots: of those that wait, the first of the command line gets the next one") {
  int changes = 0;
  ActiveSlots slots(1, [&] { ++changes; });
  CHECK(slots.take(1));
  CHECK(!slots.take(2));
  CHECK(!slots.take(0));
  slots.give_back();
  CHECK(changes == 1);
  CHECK(!slots.take(2));
  CHECK(slots.take(0));
}

TEST_CASE("slots: one that withdraws does not keep those after it waiting") {
  int changes = 0;
  ActiveSlots slots(1, [&] { ++changes; });
  CHECK(slots.take(1));
  CHECK(!slots.take(0));
  slots.give_back();
  CHECK(!slots.take(2));
  slots.withdraw(0);
  CHECK(changes == 2);
  slots.withdraw(0);  // it does not wait any more
  CHECK(changes == 2);
  CHECK(slots.take(2));
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/extents/range_set.hpp"

using extents::RangeSet;

TEST_CASE("a set contains no bytes beyond the end of its disk") {
  RangeSet set(100);
  set.add({0, 100});
  CHECK(set.contains({90, 10}));
  CHECK_FALSE(set.contains({90, 11}));
  CHECK_FALSE(set.contains({100, 1}));
  CHECK(set.contains({50, 0}));
}

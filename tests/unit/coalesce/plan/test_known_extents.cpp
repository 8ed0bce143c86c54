// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <vector>

#include "filters/coalesce/plan/known_extents.hpp"

using namespace coalesce;
using extents::Extent;

TEST_CASE("an answer from before a write is not learned after it") {
  KnownExtents map(1000);
  map.learn(map.generation(), {{0, 100, extents::hole}, {100, 100, extents::data}});
  CHECK(map.known({50, 500}) ==
        std::vector<Extent>{{50, 50, extents::hole}, {100, 100, extents::data}});
  CHECK(map.known({200, 10}).empty());
  uint64_t before = map.generation();
  map.forget();
  map.learn(before, {{0, 100, extents::hole}});
  CHECK(map.at(0).type == KnownExtents::unknown);
  CHECK(map.written());
}

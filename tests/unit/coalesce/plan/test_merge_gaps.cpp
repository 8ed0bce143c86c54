// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <vector>

#include "filters/coalesce/plan/merge_gaps.hpp"

using namespace coalesce;
using extents::Extent;

namespace {

constexpr extents::Type data = extents::data, hole = extents::hole, zero = extents::zero;

}  // namespace

TEST_CASE("gaps are merged up to the limit, and only between data") {
  std::vector<Extent> e{{0, 10, hole},  {10, 5, data},  {15, 10, hole | zero},
                        {25, 5, data},  {30, 10, zero}, {40, 5, data},
                        {45, 11, hole}, {56, 4, data},  {60, 2, hole}};
  CHECK(merge_gaps(e, 10) ==
        std::vector<Extent>{
            {0, 10, hole}, {10, 35, data}, {45, 11, hole}, {56, 4, data}, {60, 2, hole}});
  CHECK(merge_gaps(e, 0) == e);
  CHECK(merge_gaps({}, 10).empty());
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/delta/delta_view.hpp"

using namespace delta;
using extents::Extent;

TEST_CASE("the type in the view for each honest type") {
  using extents::hole, extents::zero, extents::data;
  CHECK(view_type(data, false, Zeroes::zero) == data);
  CHECK(view_type(hole, false, Zeroes::zero) == (hole | zero));
  CHECK(view_type(zero, false, Zeroes::zero) == zero);
  CHECK(view_type(hole | zero, false, Zeroes::zero) == zero);
  CHECK(view_type(hole | zero, false, Zeroes::data) == data);
  // Owed: in the delta, whatever has changed.
  CHECK(view_type(hole, true, Zeroes::zero) == data);
  CHECK(view_type(hole | zero, true, Zeroes::zero) == zero);
}

TEST_CASE("an extent is split where what is owed begins and ends") {
  extents::RangeSet owed(1000);
  owed.add({100, 50});
  std::vector<Extent> list;
  show({0, 1000, extents::hole}, owed, Zeroes::zero, [&](const Extent &e) { list.push_back(e); });
  CHECK(list == std::vector<Extent>{{0, 100, 3}, {100, 50, 0}, {150, 850, 3}});
}

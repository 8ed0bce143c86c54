// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/delta/delta_view.hpp"

using namespace delta;
using extents::Extent;

TEST_CASE("each honest type has its place in the view") {
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

TEST_CASE("the view changes only where a sector begins, and what is mixed is data") {
  std::vector<Extent> list;
  Sectors sectors([&](const Extent &e) { list.push_back(e); });
  sectors.feed({1024, 1, 3});
  CHECK(sectors.empty());
  sectors.feed({1025, 10, 2});
  sectors.feed({1035, 2000, 3});  // ends 11 bytes into the sector at 3072, less 48
  sectors.feed({3035, 37, 3});
  CHECK(list == std::vector<Extent>{{1024, 512, 0}, {1536, 1024, 3}, {2560, 512, 3}});
  sectors.feed({3072, 100, 2});
  CHECK(list.size() == 3);
  sectors.end_of_disk();
  CHECK(list.back() == Extent{3072, 100, 2});
}

TEST_CASE("export names go to the layer below and back") {
  CHECK(parse_export_name("").lower == "");
  CHECK_FALSE(parse_export_name("").honest);
  CHECK(parse_export_name("honest").honest);
  CHECK(parse_export_name("honest").lower == "");
  CHECK(parse_export_name("honest/2000").lower == "2000");
  CHECK_FALSE(parse_export_name("honesty").honest);
  CHECK(parse_export_name(honest_name("2000")).lower == "2000");
  CHECK(honest_name("") == "honest");
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "filters/delta/view.hpp"

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

TEST_CASE("a state of another disk is refused") {
  convention::State state{"c", "vsphere", "vm-1", 2000, 1000, {{0, 10}}};
  auto described = [](const char *vm, int disk) {
    return convention::format(convention::Description{"vsphere", vm, disk, 1000, "full", "", "c2"});
  };
  CHECK(owed_of(state, "f", described("vm-1", 2000), 1000).bytes() == 10);
  CHECK(owed_of(state, "f", "", 1000).bytes() == 10);
  CHECK(owed_of(std::nullopt, "f", "", 1000).empty());
  CHECK_THROWS_WITH(owed_of(state, "f", described("vm-2", 2000), 1000), Catch::Contains("vm-2"));
  CHECK_THROWS_WITH(owed_of(state, "f", described("vm-1", 2001), 1000), Catch::Contains("2001"));
  CHECK_THROWS_WITH(owed_of(state, "f", "", 2000), Catch::Contains("remove it"));
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

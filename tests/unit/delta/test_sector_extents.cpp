// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/delta/sector_extents.hpp"

using namespace delta;
using extents::Extent;

TEST_CASE("extents change only where a sector begins, and a sector of two types is data") {
  std::vector<Extent> list;
  SectorExtents sectors([&](const Extent &e) { list.push_back(e); });
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

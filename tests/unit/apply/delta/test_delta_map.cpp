// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/extents/extent_map.hpp"
#include "filters/apply/delta/delta_map.hpp"

using namespace apply;
using extents::Range;

namespace {

constexpr uint64_t G = 1u << 30;

std::vector<Area> areas(const DeltaMap &map, Range range) {
  std::vector<Area> list;
  map.for_each(range, [&](const Area &area) { return list.push_back(area), true; });
  return list;
}

}  // namespace

TEST_CASE("a delta map splits a range into areas outside, data and zero") {
  extents::ExtentMap view(400, extents::hole | extents::zero);
  view.set({0, 100}, extents::data);
  view.set({200, 100}, extents::zero);
  view.set({300, 10}, extents::hole);
  DeltaMap map(view);
  CHECK(areas(map, {50, 400}) == std::vector<Area>{{{50, 50}, Kind::data},
                                                   {{100, 100}, Kind::outside},
                                                   {{200, 100}, Kind::zero},
                                                   {{300, 10}, Kind::data},
                                                   {{310, 90}, Kind::outside},
                                                   {{400, 50}, Kind::outside}});
  CHECK(areas(map, {500, 5}) == std::vector<Area>{{{500, 5}, Kind::outside}});
  CHECK(map.delta_bytes() == 210);
  DeltaMap nothing(extents::ExtentMap(100, extents::hole | extents::zero));
  CHECK(nothing.delta_bytes() == 0);
  CHECK(DeltaMap().at(0).kind == Kind::outside);
}

TEST_CASE("areas that begin on either side of 4 GiB, and areas longer than 4 GiB") {
  DeltaMap map;
  map.append(4 * G - 1, extents::hole | extents::zero);
  map.append(2, extents::data);
  map.append(20 * G, extents::zero);
  map.append(G, extents::zero);
  map.append(7, extents::hole | extents::zero);
  std::vector<Area> all = {{{0, 4 * G - 1}, Kind::outside},
                           {{4 * G - 1, 2}, Kind::data},
                           {{4 * G + 1, 21 * G}, Kind::zero},
                           {{25 * G + 1, 7}, Kind::outside}};
  CHECK(map.areas() == 4);
  CHECK(map.size() == 25 * G + 8);
  CHECK(areas(map, {0, map.size()}) == all);
  for (const Area &area : all) {
    CHECK(map.at(area.range.offset) == area);
    CHECK(map.at(area.range.end() - 1) == area);
  }
  CHECK(map.at(9 * G) == all[2]);
  CHECK(map.delta_bytes() == 21 * G + 2);
  CHECK(map.delta_bytes({4 * G, 2}) == 2);
  CHECK(map.delta_bytes({8 * G, G}) == G);
  CHECK(map.delta_bytes({0, 100 * G}) == map.delta_bytes());
  CHECK(map.delta_bytes({5, 0}) == 0);
  CHECK(map.alignment() == 1);
}

TEST_CASE("the alignment of a delta map is that of all its areas") {
  DeltaMap map;
  map.append(8192, extents::data);
  map.append(4096, extents::zero);
  map.append(513, extents::data);
  CHECK(map.alignment() == 4096);
  CHECK(DeltaMap().alignment() == uint64_t{1} << 63);
}

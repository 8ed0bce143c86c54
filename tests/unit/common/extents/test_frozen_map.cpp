// SPDX-License-Identifier: BSD-3-Clause
//
// FrozenMap, compared with ExtentMap.
#include <catch2/catch.hpp>
#include <random>

#include "common/extents/extent_map.hpp"
#include "common/extents/frozen_map.hpp"

using extents::Extent;
using extents::FrozenMap;
using extents::Range;

namespace {

constexpr uint64_t G = 1u << 30;
constexpr uint32_t count_of(extents::Type type) {
  return 1u << type;
}

}  // namespace

TEST_CASE("a frozen map is appended to from its start to its end") {
  FrozenMap map;
  CHECK(map.slice({0, 100}).empty());
  map.append_until(10, extents::hole);
  map.append_until(10, extents::data);  // no effect
  map.append_until(30, extents::data);
  map.append(10, extents::data);
  CHECK(map.count() == 2);
  CHECK(map.slice({0, 100}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}});
  map.append_until(100, extents::hole | extents::zero);
  CHECK(map.slice({0, 1000}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}, {40, 60, 3}});
  CHECK(map.slice({9, 2}) == std::vector<Extent>{{9, 1, 1}, {10, 1, 0}});
  CHECK(map.slice({40, UINT64_MAX}) == std::vector<Extent>{{40, 60, 3}});
  CHECK(map.slice({100, 1}).empty());
  CHECK(map.slice({50, 0}).empty());
}

TEST_CASE("for_each ends when its function returns false") {
  FrozenMap map;
  for (uint64_t at = 10; at <= 100; at += 10) map.append_until(at, at % 20 == 0 ? 0 : 1);
  int seen = 0;
  CHECK(!map.for_each({0, 100}, [&](const Extent &) { return ++seen < 3; }));
  CHECK(seen == 3);
  CHECK(map.for_each({0, 100}, [&](const Extent &) { return true; }));
}

TEST_CASE("extents may start on either side of 4 GiB, and may be longer") {
  FrozenMap map(count_of(extents::data) | count_of(extents::zero));
  map.append(4 * G - 1, extents::hole | extents::zero);
  map.append(2, extents::data);
  map.append(20 * G, extents::zero);
  map.append(G, extents::zero);
  map.append(7, extents::hole | extents::zero);
  std::vector<Extent> all = {
      {0, 4 * G - 1, 3}, {4 * G - 1, 2, 0}, {4 * G + 1, 21 * G, 2}, {25 * G + 1, 7, 3}};
  CHECK(map.count() == 4);
  CHECK(map.size() == 25 * G + 8);
  CHECK(map.slice({0, map.size()}) == all);
  for (const Extent &extent : all) {
    CHECK(map.at(extent.offset) == extent);
    CHECK(map.at(extent.end() - 1) == extent);
  }
  CHECK(map.at(9 * G) == all[2]);
  CHECK(map.counted_bytes() == 21 * G + 2);
  CHECK(map.counted_bytes({4 * G, 2}) == 2);
  CHECK(map.counted_bytes({8 * G, G}) == G);
  CHECK(map.counted_bytes({0, 100 * G}) == map.counted_bytes());
  CHECK(map.counted_bytes({5, 0}) == 0);
  CHECK(map.alignment() == 1);
}

TEST_CASE("the alignment is that of all extents") {
  FrozenMap map;
  map.append(8192, extents::data);
  map.append(4096, extents::zero);
  map.append(513, extents::data);
  CHECK(map.alignment() == 4096);
  CHECK(FrozenMap().alignment() == uint64_t{1} << 63);
}

TEST_CASE("a frozen map agrees with the map that it was made from", "[single]") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    // Places that are far apart for some seeds, so that there are several pages.
    const uint64_t unit = seed % 2 == 0 ? 1 : G / 8;
    constexpr uint64_t units = 600;
    extents::ExtentMap model(units * unit, 3);
    for (int i = 0; i < 150; ++i) {
      model.set({random() % units * unit, (1 + random() % 9) * unit}, random() % 4);
    }
    FrozenMap map(model, count_of(0) | count_of(2));
    bool agree = map.size() == model.size() && map.count() == model.count();
    for (int step = 0; step < 400 && agree; ++step) {
      Range range{random() % units * unit, (1 + random() % 40) * unit};
      uint64_t counted = 0;
      for (const Extent &e : model.slice(range)) {
        counted += e.type == 0 || e.type == 2 ? e.length : 0;
      }
      agree = map.slice(range) == model.slice(range) && map.counted_bytes(range) == counted &&
              map.at(range.offset) == model.at(range.offset);
    }
    INFO("seed " << seed);
    CHECK(agree);
  }
}

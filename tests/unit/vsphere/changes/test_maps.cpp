// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>

#include "common/extents/extent_map.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"

using namespace vsphere;
using extents::Extent;
using extents::Range;

TEST_CASE("a disk's map is told from its beginning to its end") {
  DiskMap map(100);
  CHECK(map.slice({0, 100}).empty());
  map.extend(10, extents::hole);
  map.extend(10, extents::data);  // told already
  map.extend(30, extents::data);
  map.extend(40, extents::data);
  CHECK(map.count() == 2);
  CHECK(map.slice({0, 100}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}});
  map.extend(1000, extents::hole | extents::zero);
  CHECK(map.slice({0, 1000}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}, {40, 60, 3}});
  CHECK(map.slice({9, 2}) == std::vector<Extent>{{9, 1, 1}, {10, 1, 0}});
  CHECK(map.slice({40, UINT64_MAX}) == std::vector<Extent>{{40, 60, 3}});
  CHECK(map.slice({100, 1}).empty());
  CHECK(map.slice({50, 0}).empty());
  CHECK_THROWS_AS(DiskMap(UINT64_MAX), util::Error);
}

TEST_CASE("a walk of a map ends where it is told to") {
  DiskMap map(100);
  for (uint64_t at = 10; at <= 100; at += 10) map.extend(at, at % 20 == 0 ? 0 : 1);
  int seen = 0;
  map.for_each({0, 100}, [&](const Extent &) { return ++seen < 3; });
  CHECK(seen == 3);
}

// A map that can be changed anywhere, and is made from the same facts, says the same.
TEST_CASE("random maps are as those that are put together bit by bit") {
  std::mt19937_64 random(20261121);
  auto below = [&](uint64_t n) { return random() % n; };
  auto areas = [&](uint64_t size) {
    std::vector<Range> list;
    for (uint64_t at = below(50); at < size; at += 1 + below(60)) {
      uint64_t length = std::min(1 + below(60), size - at);
      list.push_back({at, length});
      at += length;
    }
    return list;
  };
  for (int round = 0; round < 500; ++round) {
    uint64_t size = 1 + below(3000);
    std::vector<Range> changed = areas(size), allocated = areas(size);
    extents::ExtentMap whole(size, extents::hole | extents::zero), delta(size, extents::hole);
    for (const auto &range : allocated) whole.set(range, extents::data);
    for (const auto &range : changed) {
      for (const auto &extent : whole.slice(range)) delta.set(extent.range(), extent.type);
    }
    REQUIRE(full_map(size, allocated).slice({0, size}) == whole.slice({0, size}));
    DiskMap map = delta_map(size, changed, allocated);
    REQUIRE(map.slice({0, size}) == delta.slice({0, size}));
    REQUIRE(map.count() == delta.count());
    for (int i = 0; i < 20; ++i) {
      Range range{below(size), 1 + below(size)};
      REQUIRE(map.slice(range) == delta.slice(range));
    }
  }
}

TEST_CASE("a map of a million areas is small") {
  constexpr uint64_t areas = 1'000'000, area = 64 << 10;
  std::vector<Range> changed;
  for (uint64_t i = 0; i < areas; ++i) changed.push_back({2 * i * area, area});
  DiskMap map = delta_map(2 * areas * area, changed, changed);
  CHECK(map.count() == 2 * areas);
  CHECK(map.memory() == 16 * areas);
  CHECK(map.slice({999'999 * 2 * area + 5, area}) ==
        std::vector<Extent>{{999'999 * 2 * area + 5, area - 5, 0}, {(2 * areas - 1) * area, 5, 1}});
}

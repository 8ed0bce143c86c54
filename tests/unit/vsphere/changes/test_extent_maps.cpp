// SPDX-License-Identifier: BSD-3-Clause
#include <malloc.h>

#include <catch2/catch.hpp>
#include <random>

#include "common/extents/extent_map.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/changes/extent_maps.hpp"
#include "tests/unit/rounds.hpp"

using namespace vsphere;
using extents::Extent;
using extents::Range;

namespace {

// Allocated with malloc, as far as the C library knows: not in a build with a sanitizer's malloc.
size_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace

TEST_CASE("full map: allocated areas are data, everything else is a hole that reads as zeroes") {
  CHECK(full_map(100, {{{10, 20}}}).slice({0, 100}) ==
        std::vector<Extent>{{0, 10, 3}, {10, 20, 0}, {30, 70, 3}});
  CHECK(full_map(100, std::nullopt).slice({0, 100}) == std::vector<Extent>{{0, 100, 0}});
}

TEST_CASE(
    "delta map: changed areas are data, or zero if not allocated; unchanged ones are not in this "
    "layer") {
  CHECK(delta_map(100, {{0, 20}, {50, 10}}, {{{10, 45}}}).slice({0, 100}) ==
        std::vector<Extent>{
            {0, 10, 3}, {10, 10, 0}, {20, 30, 1}, {50, 5, 0}, {55, 5, 3}, {60, 40, 1}});
  // What is allocated is not known: changed is data.
  CHECK(delta_map(100, {{0, 20}}, std::nullopt).slice({0, 100}) ==
        std::vector<Extent>{{0, 20, 0}, {20, 80, 1}});
  CHECK(delta_map(100, {}, std::nullopt).slice({0, 100}) == std::vector<Extent>{{0, 100, 1}});
}

TEST_CASE("a map is appended to from its beginning to its end") {
  extents::FrozenMap map;
  CHECK(map.slice({0, 100}).empty());
  map.append_until(10, extents::hole);
  map.append_until(10, extents::data);  // nothing is left of it
  map.append_until(30, extents::data);
  map.append_until(40, extents::data);
  CHECK(map.count() == 2);
  CHECK(map.slice({0, 100}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}});
  map.append_until(100, extents::hole | extents::zero);
  CHECK(map.slice({0, 1000}) == std::vector<Extent>{{0, 10, 1}, {10, 30, 0}, {40, 60, 3}});
  CHECK(map.slice({9, 2}) == std::vector<Extent>{{9, 1, 1}, {10, 1, 0}});
  CHECK(map.slice({40, UINT64_MAX}) == std::vector<Extent>{{40, 60, 3}});
  CHECK(map.slice({100, 1}).empty());
  CHECK(map.slice({50, 0}).empty());
}

TEST_CASE("areas beyond the capacity are clipped") {
  CHECK(full_map(100, {{{40, 1000}}}).slice({0, 2000}) ==
        std::vector<Extent>{{0, 40, 3}, {40, 60, 0}});
  CHECK(full_map(100, {{{40, 10}, {200, 10}}}).slice({0, 2000}) ==
        std::vector<Extent>{{0, 40, 3}, {40, 10, 0}, {50, 50, 3}});
  CHECK(delta_map(100, {{40, 1000}}, {{{0, 2000}}}).slice({0, 2000}) ==
        std::vector<Extent>{{0, 40, 1}, {40, 60, 0}});
}

TEST_CASE("a capacity that no disk has is refused") {
  CHECK_THROWS_AS(full_map(UINT64_MAX, std::nullopt), util::Error);
  CHECK_THROWS_AS(delta_map(UINT64_MAX, {}, std::nullopt), util::Error);
}

TEST_CASE("a walk of a map ends when the callback returns false") {
  extents::FrozenMap map;
  for (uint64_t at = 10; at <= 100; at += 10) map.append_until(at, at % 20 == 0 ? 0 : 1);
  int seen = 0;
  map.for_each({0, 100}, [&](const Extent &) { return ++seen < 3; });
  CHECK(seen == 3);
}

TEST_CASE("random maps equal an ExtentMap that is made of the same areas", "[single]") {
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
  for (unsigned round = 0; round < testing::rounds(500); ++round) {
    uint64_t size = 1 + below(3000);
    std::vector<Range> changed = areas(size), allocated = areas(size);
    extents::ExtentMap whole(size, extents::hole | extents::zero), delta(size, extents::hole);
    for (const auto &range : allocated) whole.set(range, extents::data);
    for (const auto &range : changed) {
      for (const auto &extent : whole.slice(range)) delta.set(extent.range(), extent.type);
    }
    REQUIRE(full_map(size, allocated).slice({0, size}) == whole.slice({0, size}));
    extents::FrozenMap map = delta_map(size, changed, allocated);
    REQUIRE(map.slice({0, size}) == delta.slice({0, size}));
    REQUIRE(map.count() == delta.count());
    for (int i = 0; i < 20; ++i) {
      Range range{below(size), 1 + below(size)};
      REQUIRE(map.slice(range) == delta.slice(range));
    }
  }
}

TEST_CASE("a map of a million areas is small", "[single]") {
  constexpr uint64_t areas = 1'000'000, area = 64 << 10;
  std::vector<Range> changed;
  for (uint64_t i = 0; i < areas; ++i) changed.push_back({2 * i * area, area});
  const size_t before = heap_bytes();
  extents::FrozenMap map = delta_map(2 * areas * area, changed, changed);
  CHECK(map.count() == 2 * areas);
  CHECK(heap_bytes() - before <= 11 * areas);
  CHECK(map.slice({999'999 * 2 * area + 5, area}) ==
        std::vector<Extent>{{999'999 * 2 * area + 5, area - 5, 0}, {(2 * areas - 1) * area, 5, 1}});
}

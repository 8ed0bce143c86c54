// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>

#include "common/extents/extent_map.hpp"
#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/delta/delta_set.hpp"
#include "tests/unit/rounds.hpp"

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

TEST_CASE("a random delta map and random sets over it agree with a byte-by-byte model",
          "[single]") {
  for (unsigned seed = 0; seed < testing::rounds(12); ++seed) {
    std::mt19937_64 random(seed);
    // For odd seeds the areas are far apart, so that the map has several pages.
    const uint64_t unit = seed % 2 == 0 ? 1 : G / 8;
    constexpr uint64_t units = 600;
    extents::ExtentMap view(units * unit, 3);
    for (int i = 0; i < 150; ++i) {
      view.set({random() % units * unit, (1 + random() % 9) * unit}, random() % 4);
    }
    DeltaMap map(view);
    DeltaSet set(map);
    std::vector<char> in(units, 0), outside(units, 0);
    bool agree = map.size() == units * unit;
    for (uint64_t u = 0; u < units; ++u) {
      auto type = view.at(u * unit).type;
      Kind kind = map.at(u * unit).kind;
      outside[u] = type == 3;
      agree =
          agree && (kind == Kind::outside) == (type == 3) && (kind == Kind::zero) == (type == 2);
    }
    for (int step = 0; step < 400 && agree; ++step) {
      Range range{random() % units * unit, (1 + random() % 40) * unit};
      range.length = std::min(range.length, units * unit - range.offset);
      // Only ranges in the delta, as Coverage does.
      for (const Area &area : areas(map, range)) {
        if (area.kind == Kind::outside) continue;
        bool add = step % 3 != 0;
        if (add) {
          set.add(area.range);
        } else {
          set.subtract(area.range);
        }
        for (uint64_t u = area.range.offset / unit; u < area.range.end() / unit; ++u) in[u] = add;
      }
      uint64_t bytes = 0, delta = 0;
      std::vector<char> missing(units, 0);
      set.for_each_missing(0, [&](const Area &p) {
        for (uint64_t u = p.range.offset / unit; u < p.range.end() / unit; ++u) missing[u] = 1;
        return true;
      });
      for (uint64_t u = 0; u < units; ++u) {
        agree = agree && missing[u] == (outside[u] == 0 && in[u] == 0);
        if (outside[u] == 0 && in[u] != 0) bytes += unit;
        if (outside[u] == 0 && u >= range.offset / unit && u < range.end() / unit) delta += unit;
      }
      agree = agree && set.bytes() == bytes && map.delta_bytes(range) == delta;
    }
    INFO("seed " << seed);
    CHECK(agree);
  }
}

TEST_CASE("a set of very many areas, added from one end to the other, is one range", "[single]") {
  constexpr uint64_t areas = testing::rounds(100'000), step = 65536;
  DeltaMap map;
  for (uint64_t i = 0; i < areas; ++i) {
    map.append(step, extents::hole | extents::zero);
    map.append(step, extents::data);
  }
  CHECK(map.areas() == 2 * areas);
  DeltaSet set(map);
  for (uint64_t i = 0; i < areas; ++i) set.add({(2 * i + 1) * step, step});
  CHECK(set.bytes() == map.delta_bytes());
  size_t ranges = 0;
  set.split({0, map.size()}, [&](Range, bool) { return ++ranges, true; });
  CHECK(ranges == 1);
  size_t owed = 0;
  set.subtract({step, step});
  set.for_each_missing_range([&](Range range) { owed += range == Range{step, step} ? 1 : 100; });
  CHECK(owed == 1);
}

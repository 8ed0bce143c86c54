// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>

#include "common/extents/extent_map.hpp"
#include "common/extents/range_set.hpp"

using extents::Extent;
using extents::ExtentMap;
using extents::Range;
using extents::RangeSet;

namespace {

// The maximal runs of equal bytes: what an ExtentMap must say of the same disk.
std::vector<Extent> runs(const std::vector<unsigned char> &bytes, Range range) {
  std::vector<Extent> list;
  for (uint64_t i = range.offset; i < std::min<uint64_t>(range.end(), bytes.size()); ++i) {
    if (!list.empty() && list.back().type == bytes[i]) {
      ++list.back().length;
    } else {
      list.push_back({i, 1, bytes[i]});
    }
  }
  return list;
}

}  // namespace

TEST_CASE("a new map is one extent of the default type") {
  ExtentMap map(100, extents::hole);
  CHECK(map.count() == 1);
  CHECK(map.at(0) == Extent{0, 100, extents::hole});
  CHECK(map.at(99) == Extent{0, 100, extents::hole});
  CHECK(ExtentMap(0).slice({0, 10}).empty());
}

TEST_CASE("neighbours of one type become one extent") {
  ExtentMap map(100);
  map.set({10, 10}, extents::zero);
  map.set({30, 10}, extents::zero);
  CHECK(map.count() == 5);
  map.set({20, 10}, extents::zero);
  CHECK(map.slice({0, 100}) ==
        std::vector<Extent>{{0, 10, 0}, {10, 30, extents::zero}, {40, 60, 0}});
  map.set({0, 100}, 0);
  CHECK(map.count() == 1);
}

TEST_CASE("a range beyond the end of the disk is ignored") {
  ExtentMap map(100);
  map.set({90, UINT64_MAX - 90}, extents::hole);
  map.set({100, 5}, extents::zero);
  CHECK(map.slice({0, UINT64_MAX}) == std::vector<Extent>{{0, 90, 0}, {90, 10, extents::hole}});
  CHECK(map.slice({200, 10}).empty());
}

TEST_CASE("for_each clips to the range and stops when its function returns false") {
  ExtentMap map(100);
  map.set({40, 20}, extents::hole);
  CHECK(map.slice({50, 20}) == std::vector<Extent>{{50, 10, extents::hole}, {60, 10, 0}});
  int calls = 0;
  map.for_each({0, 100}, [&](const Extent &) { return ++calls < 2; });
  CHECK(calls == 2);
}

TEST_CASE("random operations on maps and sets agree with an array of bytes", "[single]") {
  constexpr uint64_t size = 300;
  for (unsigned seed = 0; seed < 25; ++seed) {
    std::mt19937 random(seed);
    auto below = [&](uint64_t n) { return random() % n; };
    ExtentMap map(size);
    RangeSet set(size);
    std::vector<unsigned char> bytes(size, 0);
    std::vector<unsigned char> bits(size, 0);
    bool agree = true;
    for (int step = 0; step < 200 && agree; ++step) {
      Range range{below(size), below(60)};
      auto type = static_cast<unsigned char>(below(4));
      bool add = below(2) == 1;
      map.set(range, type);
      add ? set.add(range) : set.subtract(range);
      for (uint64_t i = range.offset; i < std::min(range.end(), size); ++i) {
        bytes[i] = type;
        bits[i] = add;
      }
      Range look{below(size), below(size)};
      auto in = std::count(bits.begin(), bits.end(), 1);
      auto from = bits.begin() + static_cast<long>(look.offset);
      auto to = bits.begin() + static_cast<long>(std::min(look.end(), size));
      Range inside{look.offset, static_cast<uint64_t>(to - from)};
      agree = map.slice(look) == runs(bytes, look) &&
              map.count() == runs(bytes, {0, size}).size() &&
              set.bytes() == static_cast<uint64_t>(in) &&
              set.contains(inside) == std::all_of(from, to, [](int b) { return b == 1; }) &&
              set.intersects(look) == std::any_of(from, to, [](int b) { return b == 1; });
      std::vector<unsigned char> again(size, 0);
      for (const Range &r : set.ranges()) {
        std::fill_n(again.begin() + static_cast<long>(r.offset), r.length, 1);
      }
      agree = agree && again == bits;
    }
    INFO("seed " << seed);
    CHECK(agree);
  }
}

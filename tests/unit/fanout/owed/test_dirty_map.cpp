// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "filters/fanout/owed/dirty_map.hpp"
#include "tests/unit/fanout/owed/runs.hpp"
#include "tests/unit/fanout/sizes.hpp"

using fanout::B;
using fanout::DirtyMap;
using fanout::Range;

TEST_CASE("a block is in the map if any byte of it was added") {
  DirtyMap map;
  CHECK(map.empty());
  map.add({B - 1, 2});
  map.add({5 * B, 0});
  CHECK(runs(map) == std::vector<Range>{{0, 2 * B}});
  CHECK(map.intersects({2 * B - 1, 10}));
  CHECK(!map.intersects({2 * B, 10 * B}));
  CHECK(!map.intersects({B, 0}));
  CHECK(map.contains({0, 2 * B}));
  CHECK(!map.contains({0, 2 * B + 1}));
  map.remove({0, 1});
  CHECK(runs(map) == std::vector<Range>{{B, B}});
  map.clear();
  CHECK(map.empty());
}

TEST_CASE("next() returns a run of at most the given size") {
  DirtyMap map;
  map.add({2 * B, 5 * B});
  map.add({9 * B, B});
  CHECK(map.next(0, 100 * B) == Range{2 * B, 5 * B});
  CHECK(map.next(0, 2 * B) == Range{2 * B, 2 * B});
  CHECK(map.next(4 * B, 100 * B) == Range{4 * B, 3 * B});
  CHECK(map.next(7 * B, 100 * B) == Range{9 * B, B});
  CHECK(map.next(10 * B, B).empty());
  CHECK(map.next(0, 1) == Range{2 * B, B});
}

TEST_CASE("the largest disk: the last block of 256 TiB") {
  DirtyMap map;
  constexpr uint64_t size = DirtyMap::largest_disk;
  map.add({size - 1, 1});
  CHECK(map.contains({size - B, B}));
  CHECK(map.next(size - B, B) == Range{size - B, B});
  CHECK(map.next(0, 100 * B) == Range{size - B, B});
  CHECK(runs(map) == std::vector<Range>{{size - B, B}});
  CHECK(map.next(size, B).empty());
  map.add({0, size});
  CHECK(map.blocks() == uint64_t{1} << 32);
  CHECK(map.contains({0, size}));
  map.remove({0, size});
  CHECK(map.empty());
}

TEST_CASE("copies and moved-from maps are independent") {
  DirtyMap a;
  a.add({0, B});
  DirtyMap b = a;
  b.add({B, B});
  CHECK(a.blocks() == 1);
  DirtyMap c = std::move(b);
  CHECK(c.blocks() == 2);
  CHECK(b.empty());  // NOLINT: on purpose
  a.add(c);
  CHECK(a.blocks() == 2);
  DirtyMap d;
  d.add({B, 3 * B});
  d.keep_only(a);
  CHECK(runs(d) == std::vector<Range>{{B, B}});
}

TEST_CASE("random operations agree with a vector of flags", "[single]") {
  constexpr size_t blocks = 300;
  std::mt19937 random(7);
  std::vector<bool> model(blocks);
  DirtyMap map;
  for (int i = 0; i < 5000; ++i) {
    uint64_t first = random() % blocks;
    uint64_t count = 1 + random() % (blocks - first);
    Range range{first * B + random() % B, 0};
    range.length = (first + count) * B - range.offset;
    bool add = random() % 2 == 0;
    if (add)
      map.add(range);
    else
      map.remove(range);
    for (uint64_t b = first; b < first + count; ++b) model[b] = add;
    uint64_t from = random() % blocks;
    uint64_t at = from;
    while (at < blocks && !model[at]) ++at;
    Range next = map.next(from * B, UINT64_MAX);
    if (at == blocks) {
      REQUIRE(next.empty());
      continue;
    }
    REQUIRE(next.offset == at * B);
    while (at < blocks && model[at]) ++at;
    REQUIRE(next.end() == at * B);
  }
}

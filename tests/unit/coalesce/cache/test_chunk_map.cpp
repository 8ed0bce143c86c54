// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/cache/chunk_map.hpp"

using namespace coalesce;
using extents::Range;

TEST_CASE("a range is split into parts with and without a chunk") {
  MemoryBudget budget(1000);
  ChunkMap chunks;
  auto add = [&](uint64_t offset, uint64_t length) {
    auto c =
        std::make_shared<Chunk>(Range{offset, length}, Buffer::allocate(budget, length), 1, 10000);
    chunks.insert(c);
    return c;
  };
  auto a = add(100, 50), b = add(150, 50), c = add(300, 10);
  auto parts = chunks.split({120, 200});
  REQUIRE(parts.size() == 5);
  CHECK(parts[0].range == Range{120, 30});
  CHECK(parts[0].chunk == a);
  CHECK(parts[1].range == Range{150, 50});
  CHECK(parts[1].chunk == b);
  CHECK(parts[2].range == Range{200, 100});
  CHECK(parts[2].chunk == nullptr);
  CHECK(parts[3].chunk == c);
  CHECK(parts[4].range == Range{310, 10});
  CHECK(chunks.split({0, 100}).size() == 1);
  CHECK(chunks.overlapping({199, 1}) == std::vector{b});
  CHECK(chunks.erase(b));
  CHECK_FALSE(chunks.erase(b));
  CHECK(chunks.overlapping({0, 10000}).size() == 2);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <vector>

#include "tests/unit/coalesce/engine_fixture.hpp"

using namespace coalesce;
using namespace std::chrono_literals;
using extents::Extent;

TEST_CASE("extents are exact, and those known are not asked for again") {
  EngineFixture fixture;
  fixture.disk.map.set({M, M}, extents::hole);
  fixture.disk.map.set({3 * M, 2 * M}, extents::zero);
  auto list = fixture.engine->extents(fixture.connection, {512 * K, 8 * M});
  CHECK(list == fixture.disk.map.slice({512 * K, 8 * M}));
  CHECK(fixture.engine->extents(fixture.connection, {M, 3 * M}) ==
        fixture.disk.map.slice({M, 3 * M}));
  CHECK(fixture.disk.queries == 1);
  CHECK(fixture.engine->extents(fixture.connection, {8 * M, M}) ==
        fixture.disk.map.slice({8 * M, M}));
  CHECK(fixture.disk.queries == 2);
  // After a write the layer below is asked every time.
  fixture.disk.map.set({M, 64 * K}, extents::data);
  fixture.engine->invalidate({M, 64 * K});
  CHECK(fixture.engine->extents(fixture.connection, {M, 3 * M}) ==
        fixture.disk.map.slice({M, 3 * M}));
  CHECK(fixture.engine->extents(fixture.connection, {M, 3 * M}) ==
        fixture.disk.map.slice({M, 3 * M}));
  CHECK(fixture.disk.queries == 4);
}

TEST_CASE("extents of which a part is known are told once") {
  EngineFixture fixture;
  fixture.disk.map.set({M, M}, extents::hole);
  fixture.engine->extents(fixture.connection, {0, 2 * M});
  CHECK(fixture.engine->extents(fixture.connection, {512 * K, 3 * M}) ==
        fixture.disk.map.slice({512 * K, 3 * M}));
  CHECK(fixture.disk.queries == 2);
}

TEST_CASE("a request for one extent is answered with one, from the known ones") {
  EngineFixture fixture;
  fixture.disk.map.set({M, M}, extents::hole);
  auto all = fixture.engine->extents(fixture.connection, {0, 16 * M}, true);
  CHECK(all.size() == 3);  // more than that was not known, and what was told is not thrown away
  CHECK(fixture.engine->extents(fixture.connection, {0, 16 * M}, true) ==
        std::vector<Extent>{{0, M, extents::data}});
  CHECK(fixture.engine->extents(fixture.connection, {M + 5, 16 * M - M - 5}, true) ==
        std::vector<Extent>{{M + 5, M - 5, extents::hole}});
  CHECK(fixture.disk.queries == 1);
}

TEST_CASE("merged extents have no short gaps, and cover the whole range") {
  EngineFixture fixture(16 * M, 0us, {.gap = 64 * K, .chunk = M, .workers = 0});
  for (uint64_t at = 0; at < 8 * M; at += 128 * K)
    fixture.disk.map.set({at, 64 * K}, extents::hole);
  fixture.disk.map.set({8 * M, 4 * M}, extents::hole | extents::zero);
  auto exact = fixture.engine->extents(fixture.connection, {0, 16 * M});
  CHECK(exact.size() == 130);
  CHECK(fixture.engine->merged_extents(fixture.connection, {0, 16 * M}) ==
        std::vector<Extent>{{0, 64 * K, extents::hole},
                            {64 * K, 8 * M - 64 * K, extents::data},
                            {8 * M, 4 * M, extents::hole | extents::zero},
                            {12 * M, 4 * M, extents::data}});
}

TEST_CASE(
    "gaps are read, then left out for some reads to see what they cost, unless their limit is "
    "given") {
  const bool measured = GENERATE(true, false);
  EngineFixture fixture(24 * M, 0us, {.gap = M, .measure_gap = measured, .chunk = M, .workers = 0});
  for (uint64_t at = 0; at < 24 * M; at += 128 * K) {
    fixture.disk.map.set({at + 64 * K, 64 * K}, extents::hole);
  }
  auto read = [&](extents::Range range) {
    fixture.disk.reset_counters();
    for (uint64_t at = range.offset; at < range.end(); at += 128 * K) {
      CHECK(fixture.reads_correctly(at, 64 * K));
    }
  };
  auto merged = [&] {
    return fixture.engine->merged_extents(fixture.connection, {12 * M, 12 * M});
  };
  fixture.engine->extents(fixture.connection, {0, 24 * M});  // as clients do
  read({0, 7 * M});
  CHECK(fixture.disk.longest > 800 * K);
  CHECK(merged().size() == 2);  // data, and the hole at the end
  read({7 * M, M});
  CHECK(fixture.disk.longest > 800 * K);
  CHECK(merged().size() == (measured ? 8 * M / (64 * K) : 2));

  read({8 * M, 3 * 128 * K});
  CHECK(fixture.disk.longest == (measured ? 64 * K : M - 64 * K));
}

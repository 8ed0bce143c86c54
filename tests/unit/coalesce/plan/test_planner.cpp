// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include "filters/coalesce/plan/planner.hpp"

using namespace coalesce;
using extents::Extent, extents::Range;
using Ranges = std::vector<Range>;

namespace {

constexpr extents::Type data = extents::data, hole = extents::hole, zero = extents::zero;

// Extents of random lengths and types that follow each other from `offset` on.
std::vector<Extent> random_extents(std::mt19937 &random, uint64_t offset) {
  std::vector<Extent> list;
  for (unsigned i = 0, n = 1 + random() % 20; i < n; ++i) {
    uint64_t length = 1 + random() % 300;
    list.push_back({offset, length, static_cast<extents::Type>(random() % 2 ? 0 : random() % 4)});
    offset += length;
  }
  return list;
}

}  // namespace

TEST_CASE("data is joined across gaps up to the limit, not across longer ones") {
  std::vector<Extent> e{
      {0, 100, data}, {100, 50, hole}, {150, 10, data}, {160, 51, hole | zero}, {211, 9, data}};
  CHECK(plan_pieces(e, {50, 1000}, 0) == Ranges{{0, 160}, {211, 9}});
  CHECK(plan_pieces(e, {51, 1000}, 0) == Ranges{{0, 220}});
  CHECK(plan_pieces(e, {0, 1000}, 0) == Ranges{{0, 100}, {150, 10}, {211, 9}});
}

TEST_CASE("holes are not planned, known to be zero or not; neither are zeroes") {
  CHECK(plan_pieces(std::vector<Extent>{{0, 100, hole}, {100, 100, zero}, {200, 100, hole | zero}},
                    {1000, 1000}, 0)
            .empty());
  CHECK(plan_pieces({}, {1000, 1000}, 0).empty());
}

TEST_CASE("pieces end at the multiples of a chunk, wherever they begin") {
  std::vector<Extent> e{{0, 350, data}};
  CHECK(plan_pieces(e, {0, 100}, 0) == Ranges{{0, 100}, {100, 100}, {200, 100}, {300, 50}});
  CHECK(plan_pieces(e, {0, 100}, 130) == Ranges{{130, 70}, {200, 100}, {300, 50}});
  CHECK(plan_pieces(e, {0, 100}, 350).empty());
}

TEST_CASE("pieces are widened to the alignment, but not out of what is known") {
  std::vector<Extent> e{
      {0, 10, hole}, {10, 20, data}, {30, 80, hole}, {110, 5, data}, {115, 5, hole}};
  CHECK(plan_pieces(e, {0, 128, 8}, 0) == Ranges{{8, 24}, {104, 16}});
  CHECK(plan_pieces(e, {0, 128, 64}, 0) == Ranges{{0, 120}});
  CHECK(plan_pieces(e, {0, 128, 64}, 5) == Ranges{{5, 115}});
}

TEST_CASE("extents in any order, touching or overlapping, are planned as one list") {
  std::vector<Extent> e{{150, 50, data}, {0, 100, data},  {90, 20, data}, {110, 40, hole},
                        {100, 10, data}, {200, 30, data}, {400, 5, data}};
  CHECK(plan_pieces(e, {10, 1000}, 0) == Ranges{{0, 110}, {150, 80}, {400, 5}});
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    auto sorted = random_extents(random, 0);
    auto shuffled = sorted;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    PlanLimits limits{random() % 200, uint64_t{64} * (1 + random() % 10),
                      uint64_t{1} << random() % 6};
    REQUIRE(plan_pieces(shuffled, limits, 0) == plan_pieces(sorted, limits, 0));
  }
}

TEST_CASE("offsets of 2^62 are planned like small ones") {
  uint64_t base = uint64_t{1} << 62;
  std::vector<Extent> e{{base - 100, 200, data},
                        {base + 100, uint64_t{1} << 40, hole},
                        {base + 100 + (uint64_t{1} << 40), 10, data}};
  CHECK(plan_pieces(e, {1u << 20, 4u << 20}, 0) ==
        Ranges{{base - 100, 100}, {base, 100}, {base + 100 + (uint64_t{1} << 40), 10}});
}

TEST_CASE("each byte of data is in one piece, in order, within the limits", "[single]") {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    uint64_t base = round % 3 == 0 ? (uint64_t{1} << 40) : 0;
    auto e = random_extents(random, base + random() % 50);
    PlanLimits limits{random() % 200, uint64_t{64} * (1 + random() % 10),
                      uint64_t{1} << random() % 6};
    uint64_t start = e.front().offset, end = e.back().end();
    uint64_t position = start + random() % (end - start);
    auto pieces = plan_pieces(e, limits, position);

    std::vector<int> covered(end - start), is_data(end - start);
    for (const auto &x : e) {
      for (uint64_t i = x.offset; i < x.end(); ++i) is_data[i - start] = x.type == data;
    }
    uint64_t last = position;
    bool good = true;
    for (const auto &p : pieces) {
      REQUIRE(p.offset >= last);
      REQUIRE(p.length > 0);
      REQUIRE(p.end() <= end);
      REQUIRE(p.offset / limits.chunk == (p.end() - 1) / limits.chunk);
      uint64_t gap = 0;
      for (uint64_t i = p.offset; i < p.end(); ++i) {
        ++covered[i - start];
        gap = is_data[i - start] ? 0 : gap + 1;
        good = good && gap <= limits.gap + 2 * (limits.align - 1);
      }
      last = p.end();
    }
    for (uint64_t i = position; i < end; ++i) {
      good = good && covered[i - start] <= 1 && covered[i - start] >= is_data[i - start];
    }
    REQUIRE(good);
  }
}

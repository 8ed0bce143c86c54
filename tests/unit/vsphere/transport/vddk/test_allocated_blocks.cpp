// SPDX-License-Identifier: BSD-3-Clause
//
// QueryAllocatedBlocks: how a disk is divided into calls, and how their answers are checked.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"

using namespace vsphere::vddk;
using extents::Range;

TEST_CASE("allocation is queried in whole chunks within the disk; the tail is left over") {
  auto same = [](const Block &a, const Block &b) {
    return a.offset == b.offset && a.length == b.length;
  };
  AllocationQueries q = plan_queries(1000, 128, 2);
  REQUIRE(q.calls.size() == 4);
  CHECK(same(q.calls[0], {0, 256}));
  CHECK(same(q.calls[2], {512, 256}));
  CHECK(same(q.calls[3], {768, 128}));
  CHECK(same(q.tail, {896, 104}));
  q = plan_queries(1024, 128, 100);
  REQUIRE(q.calls.size() == 1);
  CHECK(same(q.calls[0], {0, 1024}));
  CHECK(q.tail.length == 0);
  q = plan_queries(100, 128, 100);
  CHECK(q.calls.empty());
  CHECK(same(q.tail, {0, 100}));
}

TEST_CASE("blocks become ranges of bytes, merged where they touch; invalid ones are refused") {
  std::vector<Range> ranges;
  add_blocks(ranges, std::vector<Block>{{0, 128}, {256, 128}}, {0, 384});
  add_blocks(ranges, std::vector<Block>{{384, 128}}, {384, 384});
  CHECK(ranges == std::vector<Range>{{0, 65536}, {131072, 131072}});
  add_blocks(ranges, {}, {768, 128});
  constexpr uint64_t huge = ~uint64_t{0};
  for (const auto &bad : std::vector<std::vector<Block>>{{{0, 128}},
                                                         {{1024, 0}},
                                                         {{1024, 129}},
                                                         {{1152, 1}},
                                                         {{1088, 64}, {1024, 64}},
                                                         {{1024, 64}, {1024, 64}},
                                                         {{1025, huge}},
                                                         {{huge, 2}}}) {
    CHECK_THROWS_AS(add_blocks(ranges, bad, {1024, 128}), util::Error);
  }
}

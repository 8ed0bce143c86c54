// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "filters/apply/digests/known_blocks.hpp"

using namespace apply;

namespace {

std::vector<uint64_t> known(const KnownBlocks &blocks, uint64_t count = 8) {
  std::vector<uint64_t> list;
  const std::vector<bool> all = blocks.get({0, count});
  for (uint64_t i = 0; i < count; ++i) {
    if (all[i]) list.push_back(i);
  }
  return list;
}

using Blocks = std::vector<uint64_t>;

}  // namespace

TEST_CASE(
    "a block is known after a request that has written all of it, until the next one begins") {
  KnownBlocks blocks(8);
  auto op = blocks.begin({1, 5});
  CHECK(known(blocks).empty());
  blocks.end(op, {2, 4});  // the first and the last in parts
  CHECK(known(blocks) == Blocks{2, 3});
  CHECK(blocks.count() == 2);
  op = blocks.begin({3, 4});
  CHECK(known(blocks) == Blocks{2});
  blocks.end(op, {0, 0});  // it has failed
  CHECK(known(blocks) == Blocks{2});
}

TEST_CASE("what two requests touch at the same time is not known, whichever ends first") {
  KnownBlocks blocks(8);
  const bool first_ends_first = GENERATE(true, false);
  auto a = blocks.begin({0, 4}), b = blocks.begin({3, 6});
  blocks.end(first_ends_first ? a : b, first_ends_first ? BlockRange{0, 4} : BlockRange{3, 6});
  CHECK(known(blocks) == (first_ends_first ? Blocks{0, 1, 2} : Blocks{4, 5}));
  blocks.end(first_ends_first ? b : a, first_ends_first ? BlockRange{3, 6} : BlockRange{0, 4});
  CHECK(known(blocks) == Blocks{0, 1, 2, 4, 5});
}

TEST_CASE("a request within the time of another one makes its blocks unknown for both") {
  KnownBlocks blocks(8);
  auto longer = blocks.begin({0, 8});
  blocks.end(blocks.begin({2, 3}), {2, 3});
  blocks.end(blocks.begin({5, 6}), {5, 6});
  CHECK(known(blocks).empty());
  blocks.end(longer, {0, 8});
  CHECK(known(blocks) == Blocks{0, 1, 3, 4, 6, 7});
  blocks.end(blocks.begin({2, 3}), {2, 3});
  CHECK(known(blocks) == Blocks{0, 1, 2, 3, 4, 6, 7});
}

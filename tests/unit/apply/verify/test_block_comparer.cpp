// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>

#include "filters/apply/verify/block_comparer.hpp"
#include "tests/unit/apply/fakes.hpp"
#include "tests/unit/rounds.hpp"

using namespace apply;
using extents::Range;

namespace {

constexpr uint64_t K = 1024, block = BlockComparer::block;
using End = BlockComparer::End;

// A disk in memory that counts what is read.
struct Memory : DiskBytes {
  explicit Memory(uint64_t size, std::byte value = std::byte{7}) : content(size, value) {}
  void read(std::span<const DiskRead> list) override {
    if (gone) util::fail(ENOTCONN, "gone");
    for (const DiskRead &r : list) {
      longest = std::max(longest, r.buffer.size());
      bytes += r.buffer.size();
      std::copy_n(content.begin() + static_cast<ptrdiff_t>(r.offset), r.buffer.size(),
                  r.buffer.begin());
    }
  }
  Content content;
  size_t bytes = 0, longest = 0;
  bool gone = false;
};

bool never() {
  return false;
}

// A map of so many blocks, none of them in the delta.
DeltaMap outside(uint64_t blocks) {
  DeltaMap map;
  map.append(blocks * block, extents::hole | extents::zero);
  return map;
}

}  // namespace

TEST_CASE("with 100 percent every byte outside the delta is compared, and no other", "[single]") {
  DeltaMap map;
  map.append(100 * K + 5, extents::hole | extents::zero);
  map.append(500 * K, extents::data);
  map.append(3000 * K, extents::hole | extents::zero);
  map.append(77, extents::zero);
  map.append(5001, extents::hole | extents::zero);
  Memory source(map.size()), destination(map.size());
  for (uint64_t at = 0; at < map.size(); at += at % 7 == 0 ? 9973 : 130001) {
    destination.content[at] = std::byte{8};
    source.bytes = 0;
    BlockComparer comparer(map, 1, 1);
    auto result = comparer.advance(source, destination, never);
    bool in_delta = map.at(at).kind != Kind::outside;
    INFO(at);
    REQUIRE((result.end == End::finished) == in_delta);
    if (!in_delta) REQUIRE(result.offset == at);
    if (in_delta) REQUIRE(comparer.compared_bytes() == map.size() - map.delta_bytes());
    REQUIRE(source.longest <= 1024 * K);
    REQUIRE(source.bytes < map.size() - 300 * K);  // blocks wholly in the delta are not read
    destination.content[at] = std::byte{7};
  }
}

TEST_CASE("blocks outside the delta are chosen with the given share, whatever is in the delta",
          "[single]") {
  // Every third block is in the delta.
  constexpr uint64_t blocks = 60;
  DeltaMap map;
  for (uint64_t i = 0; i < blocks; ++i) {
    map.append(block, i % 3 == 0 ? extents::data : extents::hole | extents::zero);
  }
  int found = 0;
  constexpr unsigned seeds = testing::rounds(600);
  Memory source(map.size()), destination(map.size());
  for (uint64_t b : {4, 20, 40, 58}) destination.content[b * block + 5] = std::byte{0};
  for (unsigned seed = 0; seed < seeds; ++seed) {
    BlockComparer comparer(map, 0.2, seed);
    found += comparer.advance(source, destination, never).end == End::differs ? 1 : 0;
  }
  double expected = 1 - std::pow(0.8, 4);
  CHECK(found / double{seeds} ==
        Approx(expected).margin(5 * std::sqrt(expected * (1 - expected) / seeds)));
}

TEST_CASE("it continues where it stopped, also after a failure", "[single]") {
  DeltaMap map = outside(200);
  Memory source(map.size()), destination(map.size());
  BlockComparer comparer(map, 1, 1);
  int steps = 0;
  CHECK(comparer.advance(source, destination, [&] { return ++steps > 1; }).end == End::interrupted);
  auto first = comparer.compared_bytes();
  CHECK(first == (4u << 20));
  source.gone = true;
  CHECK_THROWS_WITH(comparer.advance(source, destination, never), "gone");
  CHECK(comparer.compared_bytes() == first);
  source.gone = false;
  source.bytes = 0;
  CHECK(comparer.advance(source, destination, never).end == End::finished);
  CHECK(source.bytes == map.size() - first);
  CHECK(comparer.compared_blocks() == 200);
  CHECK(comparer.finished());
}

TEST_CASE("the first and the last block outside the delta are compared whatever the share is") {
  DeltaMap map;
  map.append(3 * block + 1000, extents::data);
  map.append(100 * block, extents::hole | extents::zero);
  map.append(2 * block, extents::zero);
  map.append(5 * block, extents::data);
  Memory source(map.size()), destination(map.size());
  BlockComparer both(map, 1e-12, 1);
  CHECK(both.advance(source, destination, never).end == End::finished);
  CHECK(both.compared_blocks() == 2);
  CHECK(both.compared_bytes() == block);  // parts of blocks 3 and 103
  for (uint64_t at : {3 * block + 1000, 103 * block + 999}) {
    destination.content[at] = std::byte{0};
    BlockComparer comparer(map, 1e-12, 1);
    CHECK(comparer.advance(source, destination, never).offset == at);
    destination.content[at] = source.content[at];
  }
  DeltaMap one = outside(1);
  BlockComparer single(one, 1e-12, 1);
  CHECK(single.advance(source, destination, never).end == End::finished);
  CHECK(single.compared_blocks() == 1);
  DeltaMap nothing;
  nothing.append(7 * block, extents::data);
  BlockComparer none(nothing, 1, 1);
  CHECK(none.advance(source, destination, never).end == End::finished);
  CHECK(none.compared_blocks() == 0);
}

TEST_CASE("a handful is all of a small disk, and about 16 blocks of a large one") {
  CHECK(handful(outside(16)) == 1);
  CHECK(handful(outside(1600)) == Approx(0.01));
  DeltaMap nothing;
  CHECK(handful(nothing) == 1);
}

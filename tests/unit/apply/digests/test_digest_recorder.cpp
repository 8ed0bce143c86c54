// SPDX-License-Identifier: BSD-3-Clause
#include <random>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/apply/digests/recorded.hpp"

using namespace apply;
using extents::Range;
using Blocks = std::vector<uint64_t>;

TEST_CASE("what is sent in whole blocks is not read, and is what counts") {
  Recorded r(6 * block + 100);
  r.start("", "c1", {{0, 6 * block + 100}});
  r.write({0, 2 * block}, 2);
  r.zero({2 * block, block});
  r.write({3 * block, block - 1}, 3);
  r.write({4 * block - 1, block + 1}, 4);
  r.zero({5 * block, block + 100});
  r.destination.rots = true;
  r.write({block, block}, 5);
  CHECK_FALSE(std::filesystem::exists(r.path));
  REQUIRE(r.complete());
  CHECK(r.destination.blocks_read() == Blocks{3});
  CHECK(r.differing(*digests::DigestFile::open(r.path, "")) == Blocks{1});
  CHECK_FALSE(std::filesystem::exists(r.path + ".partial"));
  CHECK(r.warnings.empty());
}

TEST_CASE("a request that failed leaves nothing known") {
  Recorded r(2 * block);
  r.start("", "c1", {{0, 2 * block}});
  r.write({0, 2 * block}, 2);
  r.destination.fail_in = 0;
  CHECK_THROWS_AS(r.write({0, 2 * block}, 3), Broken);
  REQUIRE(r.complete());
  CHECK(r.destination.blocks_read() == Blocks{0, 1});
  CHECK(r.right("c1"));
}

TEST_CASE("two writes of one block at the same time: it is read, whatever their order was") {
  Recorded r(3 * block);
  r.start("", "c1", {{0, 3 * block}});
  {
    durability::SyncPoint::Hold hold("apply.digests.before_write");
    std::jthread first([&] { r.write({0, 2 * block}, 2); });
    hold.wait();  // the destination has it
    r.write({block, 2 * block}, 3);
    hold.release();
  }
  REQUIRE(r.complete());
  CHECK(r.destination.blocks_read() == Blocks{1});
  CHECK(r.right("c1"));
}

TEST_CASE("random requests, over the digests of the point below") {
  std::mt19937_64 random(GENERATE(1, 2, 3, 4));
  const uint64_t size = 40 * block + 512;
  const unsigned threads = random() % 3;
  Recorded r(size);
  r.start("", "c0", {{0, size}});
  REQUIRE(r.complete(threads));
  REQUIRE(r.right("c0"));
  for (int run = 1; run <= 4; ++run) {
    std::vector<Range> delta;
    for (int i = 0; i < 6; ++i) {
      const uint64_t offset = random() % (size - 1);
      delta.push_back({offset, 1 + random() % std::min(size - offset, 5 * block)});
    }
    r.start("c" + std::to_string(run - 1), "c" + std::to_string(run), delta);
    std::vector<bool> touched(41);
    for (const Range &range : delta) {
      for (uint64_t i = range.offset / block; i * block < range.end(); ++i) touched[i] = true;
      const uint64_t from = random() % range.length;
      const Range part{range.offset + from, 1 + random() % (range.length - from)};
      if (random() % 3 == 0) {
        r.zero(part);
      } else {
        r.write(part, random());
      }
    }
    r.destination.blocks_read();
    REQUIRE(r.complete(threads));
    CHECK(r.right("c" + std::to_string(run)));
    for (uint64_t i : r.destination.blocks_read()) CHECK(touched[i]);
  }
  CHECK(r.warnings.empty());
}

TEST_CASE("a client that comes stops it, and it goes on where it was") {
  Recorded r(600 * block);  // three times what is done at once
  r.start("", "c1", {{0, 600 * block}});
  int asked = 0;
  CHECK_FALSE(r.recorder->complete(r.destination, 0, [&] { return ++asked > 20; }));
  CHECK_FALSE(std::filesystem::exists(r.path));
  const size_t first = r.destination.blocks_read().size();
  CHECK(first >= 256);
  CHECK(first < 600);
  r.write({0, block}, 9);
  REQUIRE(r.complete(2));
  CHECK(r.right("c1"));
  CHECK(r.destination.blocks_read().size() == 600 - 256);
}

TEST_CASE("what is written after the file is complete makes it incomplete first") {
  Recorded r(2 * block);
  r.start("", "c1", {{0, 2 * block}});
  REQUIRE(r.complete());
  REQUIRE(r.right("c1"));
  {
    DigestRecorder::Request request(r.recorder.get(), {0, 10});
    CHECK_FALSE(std::filesystem::exists(r.path));
    CHECK_FALSE(digests::DigestFile::open(r.path + ".partial", "")->header().complete);
  }
  r.write({0, 10}, 7);
  r.destination.blocks_read();
  REQUIRE(r.complete());
  CHECK(r.destination.blocks_read() == Blocks{0});
  CHECK(r.right("c1"));
  // Nothing has changed since.
  REQUIRE(r.complete());
  CHECK(r.destination.blocks_read().empty());
}

TEST_CASE("what goes wrong is a warning, and there are no digests") {
  Recorded r(2 * block);
  r.start("", "c1", {{0, 2 * block}});
  r.write({0, 10}, 7);
  SECTION("the destination cannot be read") {
    r.destination.fail_read = true;
  }
  SECTION("the directory has gone") {
    std::filesystem::remove_all(r.directory.path());
  }
  CHECK(r.complete(2));
  CHECK(r.complete(2));
  REQUIRE(r.warnings.size() == 1);
  CHECK_THAT(r.warnings[0], Catch::Contains("apply-digests=" + r.path) &&
                                Catch::Contains("no digests of this copy, which is not affected"));
  CHECK_FALSE(std::filesystem::exists(r.path));
  r.write({0, block}, 8);  // it is still written
  CHECK(r.warnings.size() == 1);
}

TEST_CASE("a directory that cannot be written to is told at the start") {
  Recorded r(block);
  r.path = r.directory.file("none/digests");
  CHECK_THROWS_WITH(r.start("", "c1", {{0, block}}),
                    Catch::Contains("cannot write to the directory"));
}

TEST_CASE("a destination whose blocks are larger than those of the digests") {
  Recorded r(4 * block);
  r.destination.block = 2 * block;
  r.start("", "c1", {{0, 4 * block}});
  r.write({block, block}, 7);
  REQUIRE(r.complete());
  CHECK(r.right("c1"));
}

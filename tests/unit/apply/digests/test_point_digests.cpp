// SPDX-License-Identifier: BSD-3-Clause
//
// Which digests a run is based on.
#include "tests/unit/apply/digests/recorded.hpp"

using namespace apply;
using extents::Range;
using Blocks = std::vector<uint64_t>;

namespace {

constexpr uint64_t size = 8 * block;
const Blocks all{0, 1, 2, 3, 4, 5, 6, 7};

// monday.digests is complete, of the checkpoint c1; the next run is to make tuesday.digests.
struct Monday : Recorded {
  Monday() : Recorded(size) {
    parent.clear();
    path = directory.file("monday.digests");
    destination.image = identity("monday");
    start("", "c1", {{0, size}});
    REQUIRE(complete());
    parent = path;
    path = directory.file("tuesday.digests");
    destination.image = identity("tuesday", {"monday"});
    destination.blocks_read();
  }
  // What a run reads that has changed block 2.
  Blocks read_by_run(const std::string &held, const std::string &checkpoint = "c2") {
    start(held, checkpoint, {{2 * block, block}});
    write({2 * block, block}, 5);
    REQUIRE(complete());
    CHECK(right(checkpoint));
    return destination.blocks_read();
  }
};

const Blocks all_but_2{0, 1, 3, 4, 5, 6, 7};

}  // namespace

TEST_CASE("digests of the point below are used if they are of what the destination held") {
  Monday m;
  CHECK(m.read_by_run("c1").empty());
  CHECK(m.warnings.empty());
  CHECK(digests::DigestFile::open(m.path, "")->header().image == "tuesday");
}

TEST_CASE("digests of the point below that cannot be used: all is read, and a warning says why") {
  Monday m;
  std::string why;
  std::string held = "c1";
  SECTION("another checkpoint") {
    held = "c0";
    why = "is of \"c1\", but the destination held \"c0\"";
  }
  SECTION("nothing is known of what it held") {
    held = "";
    why = "nothing is known";
  }
  SECTION("another image") {
    m.destination.image = Recorded::identity("tuesday", {"sunday"});
    why = "is of the image monday";
  }
  SECTION("not complete") {
    digests::DigestFile::create(m.parent, {size, "c1", digests::random_key(), false, "monday"});
    why = "not finished";
  }
  SECTION("cut short") {
    std::filesystem::resize_file(m.parent, digests::header_bytes + 5);
    why = "should have";
  }
  SECTION("none") {
    std::filesystem::remove(m.parent);
    why = "does not exist";
  }
  CHECK(m.read_by_run(held) == all_but_2);
  REQUIRE(m.warnings.size() == 1);
  CHECK_THAT(m.warnings[0], Catch::Contains("apply-digests-parent=") && Catch::Contains(why));
}

TEST_CASE("the digests that an earlier run has made of the same image are used") {
  Monday m;
  CHECK(m.read_by_run("c1").empty());
  CHECK(m.read_by_run("c2", "c3").empty());
  // It is called as the file that is being made, which replaces it in the end.
  m.start("c3", "c4", {{0, block}});
  CHECK(m.right("c3"));
  m.write({0, block}, 8);
  REQUIRE(m.complete());
  CHECK(m.right("c4"));
  CHECK(m.destination.blocks_read().empty());
}

TEST_CASE("an earlier file of the same checkpoint is gone before anything is changed") {
  Monday m;
  CHECK(m.read_by_run("c1").empty());
  m.start("c2", "c2", {{0, block}});
  CHECK_FALSE(std::filesystem::exists(m.path));
  REQUIRE(m.complete());
  CHECK(m.right("c2"));
}

TEST_CASE(
    "a run that continues one that was cut off reads what that one may have changed, and no more") {
  Monday m;
  m.start("c1", "c2", {{3 * block + 5, block}, {7 * block, 3}});
  m.write({3 * block + 5, 100}, 9);
  SECTION("once") {
    CHECK(m.read_by_run("c2", "c3") == Blocks{3, 4, 7});
    CHECK(m.warnings.empty());
  }
  SECTION("twice") {
    m.start("c2", "c3", {{0, 10}});
    m.write({0, 10}, 9);
    CHECK(m.read_by_run("c3", "c4") == Blocks{0, 3, 4, 7});
  }
  SECTION("to the same checkpoint") {
    m.start("c2", "c2", {{3 * block + 105, block - 100}, {7 * block, 3}});
    m.write({3 * block + 105, block - 100}, 10);
    REQUIRE(m.complete());
    CHECK(m.right("c2"));
    CHECK(m.destination.blocks_read() == Blocks{3, 4, 7});
  }
  SECTION("of another checkpoint") {
    CHECK(m.read_by_run("c5", "c6") == all_but_2);
  }
  SECTION("of another image") {
    m.destination.image = Recorded::identity("wednesday", {"tuesday", "monday"});
    CHECK(m.read_by_run("c2", "c3") == all_but_2);
  }
  SECTION("the file of which was cut short") {
    std::filesystem::resize_file(m.path + ".partial", digests::header_bytes + 8 * 16);
    CHECK(m.read_by_run("c2", "c3") == all_but_2);
  }
  SECTION("and the digests of the point below have gone") {
    std::filesystem::remove(m.parent);
    CHECK(m.read_by_run("c2", "c3") == all_but_2);
  }
}

TEST_CASE("a disk that has grown: what is new has no digests in the point below") {
  Recorded r(3 * block + 100);
  r.start("", "c1", {{0, 3 * block + 100}});
  REQUIRE(r.complete());
  r.destination.blocks_read();
  r.destination.now.resize(5 * block);
  r.destination.durable.resize(5 * block);
  r.start("c1", "c2", {{4 * block, block}});
  r.write({4 * block, block}, 3);
  REQUIRE(r.complete());
  CHECK(r.right("c2"));
  CHECK(r.destination.blocks_read() == Blocks{3});
}

TEST_CASE(
    "a destination that is larger than the source: the rest is read, or that of the point below") {
  Recorded r(4 * block);
  const auto run = [&](const std::string &held, const std::string &checkpoint) {
    r.map = extents::ExtentMap(2 * block + 5, extents::data);
    r.delta = std::make_unique<DeltaMap>(r.map);
    r.recorder = std::make_unique<DigestRecorder>(r.path, "", *r.delta, held, checkpoint, r.log());
    r.recorder->begin(r.destination);
    r.write({0, 2 * block + 5}, 4);
    REQUIRE(r.complete());
    CHECK(r.right(checkpoint));
  };
  run("", "c1");
  CHECK(r.destination.blocks_read() == Blocks{2, 3});
  run("c1", "c2");
  CHECK(r.destination.blocks_read() == Blocks{2});
}

// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>
#include <vector>

#include "common/durability/replace_file.hpp"
#include "common/durability/sync_point.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "filters/fanout/owed/owed_file.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/fanout/sizes.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace fanout;

namespace {

using testing::Directory;

replication::State content(const OwedFile &file) {
  return replication::load_state(file.path()).value();
}

}  // namespace

TEST_CASE("without a directory nothing happens") {
  OwedFile file("", "x");
  CHECK(!file.used());
  CHECK(file.open(M, "").empty());
  file.claim({0, M});
  file.reset_to_blocks([]() -> DirtyMap { throw util::Error(0, "asked"); });
}

TEST_CASE("file names: percent-encoded, no two the same") {
  CHECK(owed_file_name("dr-1_x.y") == "dr-1_x.y.json");
  CHECK(owed_file_name("nbd://a/b") == "nbd%3A%2F%2Fa%2Fb.json");
  CHECK(owed_file_name("..") == "%2E..json");
  CHECK(owed_file_name("a%2F") == "a%252F.json");
  CHECK(owed_file_name("\xc3\xa4") == "%C3%A4.json");
  CHECK_THROWS_WITH(owed_file_name(std::string(300, 'x')), Catch::Contains("fanout-name"));
}

TEST_CASE("claims are by regions; the reset at the end is exact") {
  Directory d;
  {
    OwedFile file(d.path(), "dr");
    CHECK(!file.found());
    CHECK(file.open(100 * M + 5, "disk").empty());
    CHECK(!std::filesystem::exists(file.path()));
    file.claim({20 * M, 1});
    auto state = content(file);
    CHECK(state.destination == "dr");
    CHECK(state.size == 100 * M + 5);
    CHECK(state.vm == "disk");
    CHECK(state.checkpoint.empty());
    CHECK(state.owed == std::vector<Range>{{16 * M, 16 * M}});
    file.claim({100 * M, 5});
    CHECK(content(file).owed == std::vector<Range>{{16 * M, 16 * M}, {96 * M, 4 * M + 5}});
    DirtyMap map;
    map.add({20 * M, 1});
    map.add({100 * M, 5});
    CHECK(file.reset_to_regions([&] { return map; }).empty());
    CHECK(content(file).owed == std::vector<Range>{{16 * M, 16 * M}, {96 * M, 4 * M + 5}});
    file.reset_to_blocks([&] { return map; });
    CHECK(content(file).owed == std::vector<Range>{{20 * M, B}, {100 * M, 5}});
  }
  OwedFile next(d.path(), "dr");
  CHECK(next.found());
  CHECK(next.export_name() == "disk");
  CHECK(next.open(100 * M + 5, "disk") == std::vector<Range>{{20 * M, B}, {100 * M, 5}});
  CHECK(next.open(100 * M + 5, "disk").empty());
}

TEST_CASE("a range that is claimed already is not written again") {
  Directory d;
  OwedFile file(d.path(), "dr");
  file.open(100 * M, "");
  file.claim({0, 1});
  std::filesystem::remove(file.path());
  file.claim({5 * M, M});
  CHECK(!std::filesystem::exists(file.path()));
  file.claim({16 * M, M});
  CHECK(content(file).owed == std::vector<Range>{{0, 32 * M}});
  file.reset_to_regions([] { return DirtyMap(); });
  CHECK(content(file).owed.empty());
  file.claim({5 * M, M});
  CHECK(content(file).owed == std::vector<Range>{{0, 16 * M}});
}

TEST_CASE("a reset to what the file owes already does not write it again") {
  Directory d;
  OwedFile file(d.path(), "dr");
  file.open(100 * M, "");
  file.claim({0, 1});
  std::filesystem::remove(file.path());
  DirtyMap map;
  map.add({5 * M, 1});
  CHECK(file.reset_to_regions([&] { return map; }).empty());
  CHECK(!std::filesystem::exists(file.path()));
  file.reset_to_blocks([&] { return map; });
  CHECK(content(file).owed == std::vector<Range>{{5 * M, B}});
}

TEST_CASE("after a reset that failed the next one writes the file, though it owes no less") {
  Directory d;
  OwedFile file(d.path(), "dr");
  file.open(100 * M, "");
  file.claim({0, 1});
  file.claim({50 * M, 1});
  DirtyMap map;
  map.add({0, 1});
  const std::string away = d.path() + "-away";
  std::filesystem::rename(d.path(), away);
  CHECK(!file.reset_to_regions([&] { return map; }).empty());
  std::filesystem::rename(away, d.path());
  CHECK(file.reset_to_regions([&] { return map; }).empty());
  CHECK(content(file).owed == std::vector<Range>{{0, 16 * M}});
}

#ifdef REPLICATE_SYNC_POINTS
TEST_CASE("a claim of what is about to be taken off the file waits, and is in it") {
  Directory d;
  OwedFile file(d.path(), "dr");
  file.open(100 * M, "");
  file.claim({0, 1});
  durability::SyncPoint::Hold hold("fanout.reset_not_written");
  std::jthread resets([&] { file.reset_to_regions([] { return DirtyMap(); }); });
  hold.wait();
  testing::WaitingThread claims([&] { file.claim({0, 1}); });
  CHECK(claims.waits());
  hold.release();
  claims.join();
  resets.join();
  CHECK(content(file).owed == std::vector<Range>{{0, 16 * M}});
}
#endif

TEST_CASE("a checkpoint in the file is preserved") {
  Directory d;
  replication::State state;
  state.source = "nbdkit-fanout-filter";
  state.destination = "dr";
  state.checkpoint = "52 de/4";
  state.size = 32 * M;
  state.owed = {{0, M}};
  replication::save_state(d.path() + "/dr.json", state);
  OwedFile file(d.path(), "dr");
  CHECK(file.open(32 * M, "") == std::vector<Range>{{0, M}});
  file.reset_to_blocks([] { return DirtyMap(); });
  CHECK(content(file).checkpoint == "52 de/4");
}

TEST_CASE("what the primary has grown by is owed, durably") {
  Directory d;
  {
    OwedFile file(d.path(), "dr");
    file.open(32 * M, "one");
    file.claim({0, 1});
    file.reset_to_blocks([] {
      DirtyMap map;
      map.add({0, M});
      return map;
    });
  }
  OwedFile file(d.path(), "dr");
  CHECK(file.open(33 * M, "one") == std::vector<Range>{{0, M}, {32 * M, M}});
  CHECK(content(file).size == 33 * M);
  CHECK(content(file).owed.back().end() == 33 * M);
}

TEST_CASE(
    "what the primary has grown by is owed by the next call, if the file could not be written") {
  Directory d;
  {
    OwedFile file(d.path(), "dr");
    file.open(32 * M, "one");
    file.claim({0, 1});
    file.reset_to_blocks([] { return DirtyMap(); });
  }
  const std::vector<Range> added{{32 * M, M}};
  {
    OwedFile file(d.path(), "dr");
    const std::string away = d.path() + "-away";
    std::filesystem::rename(d.path(), away);
    CHECK_THROWS_AS(file.open(33 * M, "one"), util::Error);
    std::filesystem::rename(away, d.path());
    CHECK(file.open(33 * M, "one") == added);
    CHECK(content(file).owed.back().end() == 33 * M);
  }
  OwedFile next(d.path(), "dr");
  const auto owed = next.open(33 * M, "one");
  REQUIRE(owed.size() == 1);
  CHECK(owed[0].offset <= added[0].offset);
  CHECK(owed[0].end() == added[0].end());
}

TEST_CASE("refused: a file of another destination or primary, and one that is locked") {
  Directory d;
  {
    OwedFile file(d.path(), "dr");
    file.open(32 * M, "one");
    file.claim({0, 1});
    CHECK_THROWS_WITH(OwedFile(d.path(), "dr"), Catch::Contains("another server"));
  }
  {
    OwedFile file(d.path(), "dr");
    CHECK_THROWS_WITH(file.open(31 * M, "one"),
                      Catch::Contains("33554432") && Catch::Contains("32505856"));
    CHECK_THROWS_WITH(file.open(32 * M, "two"), Catch::Contains("\"two\""));
  }
  std::filesystem::copy(d.path() + "/dr.json", d.path() + "/cloud.json");
  CHECK_THROWS_WITH(OwedFile(d.path(), "cloud"), Catch::Contains("destination \"dr\""));
  replication::State applys;
  applys.source = "vsphere";
  replication::save_state(d.path() + "/x.json", applys);
  CHECK_THROWS_WITH(OwedFile(d.path(), "x"), Catch::Contains("vsphere"));
  durability::replace_file(d.path() + "/y.json", "{}");
  CHECK_THROWS_AS(OwedFile(d.path(), "y"), util::Error);
  CHECK_THROWS_WITH(OwedFile(d.path() + "/none", "y"), Catch::Contains("fanout-state="));
}

TEST_CASE("fanout-new=owed: a destination without a file owes everything") {
  Directory d;
  {
    OwedFile file(d.path(), "dr", true);
    CHECK(file.open(100 * M + 5, "") == std::vector<Range>{{0, 100 * M + 5}});
    CHECK(content(file).owed == std::vector<Range>{{0, 100 * M + 5}});
    CHECK(file.open(100 * M + 5, "").empty());  // handed out once
    file.reset_to_blocks([] { return DirtyMap(); });
  }
  OwedFile next(d.path(), "dr", true);
  CHECK(next.open(100 * M + 5, "").empty());
}

// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "filters/fanout/state_file.hpp"
#include "tests/unit/directory.hpp"

using namespace fanout;

namespace {

constexpr uint64_t M = 1u << 20;
constexpr uint64_t B = DirtyMap::block;

using testing::Directory;

replication::State content(const StateFile &file) {
  return replication::load_state(file.path()).value();
}

}  // namespace

TEST_CASE("without a directory nothing happens") {
  StateFile file("", "x");
  CHECK(!file.used());
  CHECK(file.open(M, "").empty());
  file.claim({0, M});
  file.set_exactly([]() -> DirtyMap { throw util::Error(0, "asked"); });
}

TEST_CASE("names become names of files, no two the same") {
  CHECK(state_file_name("dr-1_x.y") == "dr-1_x.y.json");
  CHECK(state_file_name("nbd://a/b") == "nbd%3A%2F%2Fa%2Fb.json");
  CHECK(state_file_name("..") == "%2E..json");
  CHECK(state_file_name("a%2F") == "a%252F.json");
  CHECK(state_file_name("\xc3\xa4") == "%C3%A4.json");
  CHECK_THROWS_WITH(state_file_name(std::string(300, 'x')), Catch::Contains("fanout-name"));
}

TEST_CASE("before anything differs the file claims the region; at the end it is exact") {
  Directory d;
  {
    StateFile file(d.path(), "dr");
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
    CHECK(file.set_back([&] { return map; }).empty());
    CHECK(content(file).owed == std::vector<Range>{{16 * M, 16 * M}, {96 * M, 4 * M + 5}});
    file.set_exactly([&] { return map; });
    CHECK(content(file).owed == std::vector<Range>{{20 * M, B}, {100 * M, 5}});
  }
  StateFile next(d.path(), "dr");
  CHECK(next.found());
  CHECK(next.export_name() == "disk");
  CHECK(next.open(100 * M + 5, "disk") == std::vector<Range>{{20 * M, B}, {100 * M, 5}});
  CHECK(next.open(100 * M + 5, "disk").empty());
}

TEST_CASE("what is claimed already is not written again") {
  Directory d;
  StateFile file(d.path(), "dr");
  file.open(100 * M, "");
  file.claim({0, 1});
  std::filesystem::remove(file.path());
  file.claim({5 * M, M});
  CHECK(!std::filesystem::exists(file.path()));
  file.claim({16 * M, M});
  CHECK(content(file).owed == std::vector<Range>{{0, 32 * M}});
  file.set_back([] { return DirtyMap(); });
  CHECK(content(file).owed.empty());
  file.claim({5 * M, M});
  CHECK(content(file).owed == std::vector<Range>{{0, 16 * M}});
}

TEST_CASE("a checkpoint that the file had stays in it") {
  Directory d;
  replication::State state;
  state.source = "nbdkit-fanout-filter";
  state.destination = "dr";
  state.checkpoint = "52 de/4";
  state.size = 32 * M;
  state.owed = {{0, M}};
  replication::save_state(d.path() + "/dr.json", state);
  StateFile file(d.path(), "dr");
  CHECK(file.open(32 * M, "") == std::vector<Range>{{0, M}});
  file.set_exactly([] { return DirtyMap(); });
  CHECK(content(file).checkpoint == "52 de/4");
}

TEST_CASE("a state of another is refused, and so is one that another server has") {
  Directory d;
  {
    StateFile file(d.path(), "dr");
    file.open(32 * M, "one");
    file.claim({0, 1});
    CHECK_THROWS_WITH(StateFile(d.path(), "dr"), Catch::Contains("another server"));
  }
  {
    StateFile file(d.path(), "dr");
    CHECK_THROWS_WITH(file.open(33 * M, "one"),
                      Catch::Contains("33554432") && Catch::Contains("34603008"));
    CHECK_THROWS_WITH(file.open(32 * M, "two"), Catch::Contains("\"two\""));
  }
  std::filesystem::copy(d.path() + "/dr.json", d.path() + "/cloud.json");
  CHECK_THROWS_WITH(StateFile(d.path(), "cloud"), Catch::Contains("destination \"dr\""));
  replication::State applys;
  applys.source = "vsphere";
  replication::save_state(d.path() + "/x.json", applys);
  CHECK_THROWS_WITH(StateFile(d.path(), "x"), Catch::Contains("vsphere"));
  durability::replace_file(d.path() + "/y.json", "{}");
  CHECK_THROWS_AS(StateFile(d.path(), "y"), util::Error);
  CHECK_THROWS_WITH(StateFile(d.path() + "/none", "y"), Catch::Contains("fanout-state="));
}

TEST_CASE("a destination without a file owes everything, if it is said to be new") {
  Directory d;
  {
    StateFile file(d.path(), "dr", true);
    CHECK(file.open(100 * M + 5, "") == std::vector<Range>{{0, 100 * M + 5}});
    CHECK(content(file).owed == std::vector<Range>{{0, 100 * M + 5}});
    CHECK(file.open(100 * M + 5, "").empty());  // handed out once
    file.set_exactly([] { return DirtyMap(); });
  }
  StateFile next(d.path(), "dr", true);
  CHECK(next.open(100 * M + 5, "").empty());
}

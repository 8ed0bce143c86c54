// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <filesystem>

#include "common/replication/source_description.hpp"
#include "common/replication/state_directory.hpp"
#include "common/replication/state_file.hpp"
#include "common/replication/state_json.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "tests/unit/directory.hpp"

using replication::SourceDescription;
using replication::State;

TEST_CASE("a description survives being written and read, in one short line") {
  SourceDescription d{"vsphere", "vm-42", 2000, 1 << 30, "delta", "52 de/1", "52 de/2"};
  std::string line = replication::format(d);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.size() < 4096);
  auto again = replication::parse_description(line);
  REQUIRE(again);
  CHECK(again->source == "vsphere");
  CHECK(again->vm == "vm-42");
  CHECK(again->disk == 2000);
  CHECK(again->size == 1 << 30);
  CHECK(again->mode == "delta");
  CHECK(again->since == "52 de/1");
  CHECK(again->checkpoint == "52 de/2");
}

TEST_CASE("another source's description is none of ours") {
  CHECK_FALSE(replication::parse_description(""));
  CHECK_FALSE(replication::parse_description("my disk"));
  CHECK_FALSE(replication::parse_description("{\"nbdkit-replicate\":2}"));
  CHECK_FALSE(replication::parse_description("[1]"));
}

TEST_CASE("a state survives being saved and loaded") {
  testing::Directory directory;
  std::string path = directory.file("web1.state");
  CHECK_FALSE(replication::load_state(path));

  State state{"52 de/2", "vsphere", "vm-42", 2000, 1 << 20, {{0, 512}, {65536, 131072}}};
  replication::save_state(path, state);
  auto again = replication::load_state(path);
  REQUIRE(again);
  CHECK(again->checkpoint == state.checkpoint);
  CHECK(again->disk == 2000);
  CHECK(again->owed == state.owed);
  CHECK(again->owed_bytes() == 512 + 131072);
  CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST_CASE("what a state has besides is not looked at, and its fields stand in any order") {
  State state = replication::parse_state(
      R"({"later":{"size":7,"owed":[[1,2]]},"owed":[[1,2],[5,5]],"more":[[{"vm":1}],null],"size":10,)"
      R"("disk":-3,"vm":"v","source":"s","checkpoint":"c","nbdkit-replicate":1,"x":1.5})",
      "f");
  CHECK(state.owed == std::vector<extents::Range>{{1, 2}, {5, 5}});
  CHECK(state.size == 10);
  CHECK(state.disk == -3);
  CHECK(state.destination.empty());
  state.destination = "dr \"site\"";
  CHECK(replication::parse_state(replication::format(state), "f").destination == state.destination);
}

TEST_CASE("a state that owes in a million places is written and read without being kept as text") {
  testing::Directory directory;
  std::string path = directory.file("web1.state");
  constexpr uint64_t count = 1'000'000;
  replication::save_state(path, State{"c", "", "", 0, count * 131072, {}}, [&](const auto &add) {
    for (uint64_t i = 0; i < count; ++i) add({i * 131072, 65536});
  });
  auto again = replication::load_state(path);
  REQUIRE(again);
  REQUIRE(again->owed.size() == count);
  CHECK(again->owed.back() == extents::Range{(count - 1) * 131072, 65536});
  CHECK(again->owed_bytes() == count * 65536);
  // Cut off: no state.
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 3);
  CHECK_THROWS_WITH(replication::load_state(path), Catch::Contains("remove it"));
}

TEST_CASE("a damaged state is refused, with the way to start anew") {
  std::string good = replication::format(State{"c", "vsphere", "vm", 1, 1000, {{0, 10}}});
  CHECK_NOTHROW(replication::parse_state(good, "f"));
  auto with = [&](const std::string &from, const std::string &to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  std::string bad[] = {
      "",
      good.substr(0, good.size() / 2),
      "[]",
      with("\"nbdkit-replicate\":1", "\"nbdkit-replicate\":9"),
      with("\"checkpoint\":\"c\",", ""),
      with("\"size\":1000", "\"size\":-1"),
      with("[[0,10]]", "[[0,1001]]"),
      with("[[0,10]]", "[[5,10],[0,2]]"),
      with("[[0,10]]", "[[0,10],[5,10]]"),
      with("[[0,10]]", "[[10,18446744073709551615]]"),
      with("[[0,10]]", "[[0]]"),
      with("[[0,10]]", "[[0,1,2]]"),
      with("[[0,10]]", "[[[0,10]]]"),
      with("[[0,10]]", "[0,10]"),
      with("[[0,10]]", "[{\"a\":1}]"),
      with("[[0,10]]", "[[0,-1]]"),
      with("\"vm\":\"vm\"", "\"vm\":[1]"),
      with("[[0,10]]", "7"),
  };
  for (const auto &text : bad) {
    INFO(text);
    CHECK_THROWS_WITH(replication::parse_state(text, "web1.state"),
                      Catch::Contains("web1.state") && Catch::Contains("remove it"));
  }
}

TEST_CASE("a state belongs to one disk, and to a source that shows all that changed since") {
  State state{"c1", "vsphere", "vm-1", 2000, 1000, {{0, 10}}};
  auto check = [&](const SourceDescription &d, uint64_t size = 1000) {
    replication::check_belongs(state, d, size, "key=f");
  };
  SourceDescription full{"vsphere", "vm-1", 2000, 1000, "full", "", "c2"};
  CHECK_NOTHROW(check(full));
  CHECK_NOTHROW(replication::check_belongs(state, std::nullopt, 1000, "key=f"));
  CHECK_THROWS_WITH(replication::check_belongs(state, std::nullopt, 999, "key=f"),
                    Catch::Contains("999") && Catch::Contains("1000") && Catch::Contains("remove"));

  auto other = full;
  other.vm = "vm-2";
  CHECK_THROWS_WITH(check(other), Catch::Contains("key=f") && Catch::Contains("vm-2"));
  other = full;
  other.disk = 2001;
  CHECK_THROWS_WITH(check(other), Catch::Contains("2001") && Catch::Contains("remove"));

  SourceDescription delta{"vsphere", "vm-1", 2000, 1000, "delta", "c1", "c2"};
  CHECK_NOTHROW(check(delta));
  delta.since = "c0";
  CHECK_THROWS_WITH(check(delta), Catch::Contains("since=@"));
  state.checkpoint = "c2";  // the run was interrupted, the source still runs
  CHECK_NOTHROW(check(delta));
  state.checkpoint = "";  // nothing is known
  CHECK_THROWS_WITH(check(delta), Catch::Contains("since=@"));
  CHECK_NOTHROW(check(full));
  state.source = state.vm = "";
  CHECK_NOTHROW(check(full));
}

TEST_CASE("the states of several disks are a directory") {
  testing::Directory directory;
  CHECK(replication::names_directory(directory.path()));
  CHECK(replication::names_directory("/none/"));
  CHECK_FALSE(replication::names_directory(directory.file("web1.state")));
  CHECK(replication::load_states("/none/").empty());
  CHECK(replication::load_states(directory.path()).empty());

  const std::string first = replication::state_path(directory.path(), 2000);
  CHECK(first == directory.file("2000.state"));
  CHECK(replication::state_path(directory.path() + "/", 2000) == first);
  CHECK_FALSE(replication::load_state_of(directory.path(), 2000));
  replication::save_state(first, {"52 de/2", "vsphere", "vm-42", 2000, 1 << 20, {{0, 512}}});
  // One whose source does not say which disk it is.
  replication::save_state(directory.file("1.state"), {"", "", "", 0, 1 << 20, {}});
  for (const char *other : {"web1.state", "2001.state.lock", "x2.state", "2x.state", ".state"}) {
    util::replace_file(directory.file(other), "none of ours");
  }
  auto states = replication::load_states(directory.path());
  CHECK(states.size() == 2);
  CHECK(states.at(2000).checkpoint == "52 de/2");
  CHECK(states.at(2000).owed == std::vector<extents::Range>{{0, 512}});

  // Somebody has copied the one of another disk.
  std::filesystem::copy_file(first, directory.file("2002.state"));
  CHECK_THROWS_WITH(replication::load_state_of(directory.path(), 2002),
                    Catch::Contains("2002.state") && Catch::Contains("of disk 2000") &&
                        Catch::Contains("remove it"));
  CHECK_THROWS_AS(replication::load_states(directory.path()), util::Error);
  util::replace_file(directory.file("2002.state"), "{");
  CHECK_THROWS_WITH(replication::load_states(directory.path()), Catch::Contains("2002.state"));
  CHECK_THROWS_AS(replication::load_states(first), util::Error);  // no directory
}

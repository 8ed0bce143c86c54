// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <filesystem>

#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "common/replication/state_json.hpp"
#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/rounds.hpp"

using replication::SourceDescription;
using replication::State;

TEST_CASE("a state is the same after it is saved and loaded") {
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

TEST_CASE("other members of a state are ignored, and its members may be in any order") {
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

TEST_CASE("a state with very many owed ranges is saved and loaded", "[single]") {
  testing::Directory directory;
  std::string path = directory.file("web1.state");
  constexpr uint64_t count = testing::sanitized ? 50'000 : 1'000'000;
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

TEST_CASE("a damaged state is refused, and the message says how to start again") {
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

TEST_CASE(
    "a state belongs to one disk, and to a source that shows all changes since its checkpoint") {
  State state{"c1", "vsphere", "vm-1", 2000, 1000, {{0, 10}}};
  auto check = [&](const SourceDescription &d, uint64_t size = 1000) {
    replication::check_belongs(state, d, size, "key=f");
  };
  SourceDescription full{"vsphere", "vm-1", 2000, 1000, "full", "", "c2"};
  CHECK_NOTHROW(check(full));
  CHECK_NOTHROW(replication::check_belongs(state, std::nullopt, 1000, "key=f"));
  CHECK_THROWS_WITH(replication::check_belongs(state, std::nullopt, 999, "key=f"),
                    Catch::Contains("999") && Catch::Contains("1000") && Catch::Contains("remove"));
  CHECK_NOTHROW(check(full, 2000));  // it has grown
  CHECK_THROWS_WITH(replication::check_belongs(state, std::nullopt, 2000, "key=f"),
                    Catch::Contains("has grown or is another one"));
  CHECK_THROWS_WITH(check(full, 500), Catch::Contains("the disk has shrunk;") &&
                                          Catch::Contains("remove the state"));

  auto other = full;
  other.vm = "vm-2";
  CHECK_THROWS_WITH(check(other), Catch::Contains("key=f") && Catch::Contains("vm-2"));
  CHECK_THROWS_WITH(check(other, 2000), Catch::Contains("vm-2") && !Catch::Contains("grown"));
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

TEST_CASE("a state in which any of the required fields is missing is refused") {
  State state;
  state.checkpoint = "c";
  state.size = 4096;
  const std::string whole = replication::format(state);
  CHECK_NOTHROW(replication::parse_state(whole, "state"));
  for (const char *field :
       {"nbdkit-replicate", "checkpoint", "source", "vm", "disk", "size", "owed"}) {
    std::string text = whole;
    size_t at = text.find('"' + std::string(field) + '"');
    REQUIRE(at != std::string::npos);
    text[at + 1] = '_';
    INFO(text);
    CHECK_THROWS_AS(replication::parse_state(text, "state"), util::Error);
  }
}

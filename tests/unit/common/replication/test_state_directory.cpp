// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <filesystem>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_directory.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"

TEST_CASE("the states of several disks are files in a directory") {
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
    durability::replace_file(directory.file(other), "none of ours");
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
  durability::replace_file(directory.file("2002.state"), "{");
  CHECK_THROWS_WITH(replication::load_states(directory.path()), Catch::Contains("2002.state"));
  CHECK_THROWS_AS(replication::load_states(first), util::Error);  // no directory
}

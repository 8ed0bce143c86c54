// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/replication/state_directory.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "tests/unit/directory.hpp"

using namespace vsphere;
using replication::State;

TEST_CASE("without since= nothing is known; a changeId applies to one disk") {
  CHECK_FALSE(is_of_one_disk(""));
  CHECK(since_of("", "vm-1", 2000).change_id.empty());
  CHECK(is_of_one_disk("aa/2"));
  CHECK(since_of("aa/2", "vm-1", 2000).change_id == "aa/2");
  CHECK_FALSE(since_of("aa/2", "vm-1", 2000).size);
}

TEST_CASE("a state must be of this disk") {
  testing::Directory directory;
  const std::string file = directory.file("web1.state"), since = "@" + file;
  CHECK(is_of_one_disk(since));
  CHECK(since_of(since, "vm-1", 2000).change_id.empty());

  replication::save_state(file, {"aa/2", "vsphere", "vm-1", 2000, 100, {}});
  CHECK(since_of(since, "vm-1", 2000).change_id == "aa/2");
  CHECK(since_of(since, "vm-1", 2000).size == 100);
  CHECK_THROWS_WITH(since_of(since, "vm-2", 2000), Catch::Contains("vm-2"));
  CHECK_THROWS_WITH(since_of(since, "vm-1", 2001), Catch::Contains("2001"));
  replication::save_state(file, {"aa/2", "other", "vm-1", 2000, 100, {}});
  CHECK_THROWS_WITH(since_of(since, "vm-1", 2000), Catch::Contains("remove it"));
}

TEST_CASE("a directory has a state for each disk") {
  testing::Directory directory;
  const std::string since = "@" + directory.path();
  CHECK_FALSE(is_of_one_disk(since));
  CHECK_FALSE(is_of_one_disk("@/none/"));
  CHECK(since_of("@/none/", "vm-1", 2000).change_id.empty());
  for (int64_t disk : {2000, 2001}) {
    replication::save_state(replication::state_path(directory.path(), disk),
                            {"aa/" + std::to_string(disk), "vsphere", "vm-1", disk, 100, {}});
  }
  CHECK(since_of(since, "vm-1", 2000).change_id == "aa/2000");
  CHECK(since_of(since, "vm-1", 2001).change_id == "aa/2001");
  CHECK(since_of(since, "vm-1", 2002).change_id.empty());
  CHECK_THROWS_WITH(since_of(since, "vm-2", 2000), Catch::Contains("vm-2"));
}

TEST_CASE("the epoch of a changeId is everything before the last slash") {
  CHECK(epoch_of("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81") ==
        "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63");
  for (const char *bad : {"", "*", "abc", "abc/", "/"}) CHECK(epoch_of(bad).empty());
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/replication/state_directory.hpp"
#include "common/util/error.hpp"
#include "filters/delta/owed_states.hpp"
#include "tests/unit/directory.hpp"

using delta::OwedStates;
using replication::State;

namespace {

std::string described(const char *vm, int64_t disk = 2000) {
  return replication::format(
      replication::SourceDescription{"vsphere", vm, disk, 1000, "full", "", "c2"});
}

}  // namespace

TEST_CASE("a state of another disk is refused, what is owed is taken from the right one") {
  State state{"c", "vsphere", "vm-1", 2000, 1000, {{0, 10}}};
  CHECK(OwedStates(state, "f").of(described("vm-1"), 1000)->bytes() == 10);
  CHECK(OwedStates(state, "f").of("", 1000)->bytes() == 10);
  CHECK(OwedStates(std::nullopt, "f").of("", 1000)->empty());
  CHECK_THROWS_WITH(OwedStates(state, "f").of(described("vm-2"), 1000),
                    Catch::Contains("delta-owed=f") && Catch::Contains("vm-2"));
}

TEST_CASE("what a disk has grown by since the state was written is owed") {
  State state{"c", "vsphere", "vm-1", 2000, 600, {{0, 10}}};
  auto owed = OwedStates(state, "f").of(described("vm-1"), 1000);
  CHECK(owed->ranges() == std::vector<extents::Range>{{0, 10}, {600, 400}});
  CHECK_THROWS_WITH(OwedStates(state, "f").of(described("vm-1"), 500), Catch::Contains("shrunk"));
}

TEST_CASE("a directory has a state for each disk") {
  testing::Directory directory;
  auto save = [&](int64_t disk, extents::Range owed) {
    replication::save_state(replication::state_path(directory.path(), disk),
                            {"c", "vsphere", "vm-1", disk, 1000, {owed}});
  };
  save(2000, {0, 10});
  save(2001, {0, 20});
  OwedStates owed = OwedStates::load(directory.path());
  // The states are read once: what the destination writes later belongs to the next run.
  save(2001, {0, 30});
  CHECK(owed.of(described("vm-1", 2000), 1000)->bytes() == 10);
  CHECK(owed.of(described("vm-1", 2001), 1000)->bytes() == 20);
  CHECK(owed.of(described("vm-1", 2002), 1000)->empty());
  CHECK(owed.of("some disk", 1000)->empty());
  CHECK_THROWS_WITH(owed.of(described("vm-2", 2001), 1000), Catch::Contains("2001.state"));
  CHECK(owed.state_of(described("vm-1", 2001))->disk == 2001);
  CHECK(owed.state_of("")->checkpoint.empty());  // disk 0
  save(0, {0, 40});
  CHECK(OwedStates::load(directory.path()).state_of("")->checkpoint == "c");
  CHECK(OwedStates::load(directory.path() + "/none/").of(described("vm-1"), 1000)->empty());
}

// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "tests/unit/vsphere/snapshot/child.hpp"

using namespace vsphere;
using testing::in_child;

TEST_CASE("the name of a snapshot tells its owner") {
  std::string ours = snapshot_name();
  CHECK(ours.size() <= 80);
  CHECK(owner_of(ours, ours) == SnapshotOwner::this_host);
  CHECK(owner_of(ours + "-else", ours) == SnapshotOwner::other_host);
  CHECK(owner_of("before update", ours) == SnapshotOwner::foreign);
}

TEST_CASE("one process at a time has the run lock of a machine; its end releases the lock") {
  std::string server = "test-" + std::to_string(getpid());
  std::optional<RunLock> lock(std::in_place, server, "vm-1");
  auto refused = [&] {
    try {
      RunLock second(server, "vm-1");
      return 0;
    } catch (const util::Error &e) {
      return e.errnum();
    }
  };
  CHECK(in_child(refused) == EBUSY);
  CHECK_NOTHROW(RunLock(server, "vm-2"));
  CHECK_NOTHROW(RunLock(server + "-other", "vm-1"));
  lock.reset();
  CHECK(in_child(refused) == 0);
  CHECK(in_child([&] {
          new RunLock(server, "vm-1");  // as if killed
          return 0;
        }) == 0);
  CHECK(in_child(refused) == 0);
}

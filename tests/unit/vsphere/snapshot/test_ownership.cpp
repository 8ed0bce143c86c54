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

TEST_CASE("the name and the description of a snapshot tell who made it") {
  CHECK(snapshot_name().size() <= 80);
  CHECK(is_of_plugin(snapshot_name()));
  CHECK(is_of_plugin("nbdkit-replicate on another.example.com"));
  CHECK(!is_of_plugin("before update"));
  const std::string token(32, 'a');
  const std::string text = snapshot_description(token);
  CHECK(token_of(text) == token);
  CHECK_THAT(text, Catch::Contains("process " + std::to_string(getpid())));
  CHECK(token_of("Made by nbdkit-replicate to read the disks.").empty());
  CHECK(token_of("token=" + std::string(31, 'a')).empty());
  CHECK(token_of("token=" + std::string(32, 'x')).empty());
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

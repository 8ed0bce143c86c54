// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "common/replication/state_lock.hpp"
#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"

using replication::lock_state;
using testing::Directory;

TEST_CASE("one server at a time holds the lock of a state file") {
  Directory directory;
  std::string path = directory.file("state");
  {
    auto first = lock_state("apply-state", path);
    CHECK_THROWS_WITH(lock_state("apply-state", path),
                      Catch::Contains("another server") && Catch::Contains(path));
  }
  CHECK_NOTHROW(lock_state("apply-state", path));
  CHECK_THROWS_WITH(lock_state("apply-state", "/nonexistent/state"),
                    Catch::Contains("/nonexistent"));
}

TEST_CASE("a state reached through a symbolic link has one server too; leftovers are removed") {
  Directory directory;
  std::string path = directory.file("state"), link = directory.file("link");
  std::filesystem::create_symlink("state", link);
  std::ofstream(path + ".tmp-0123456789abcdef") << "half";
  auto first = lock_state("apply-state", link);
  CHECK_FALSE(std::filesystem::exists(path + ".tmp-0123456789abcdef"));
  CHECK_THROWS_WITH(lock_state("apply-state", path),
                    Catch::Contains("another server") && Catch::Contains(path));
}

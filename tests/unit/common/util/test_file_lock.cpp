// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file_lock.hpp"
#include "tests/unit/directory.hpp"

TEST_CASE("a file lock is held once, until it is released") {
  testing::Directory directory;
  std::string path = directory.file("state");
  auto first = util::try_lock_file(path);
  CHECK(first);
  CHECK(!util::try_lock_file(path));
  first.reset();
  CHECK(util::try_lock_file(path));
  CHECK_THROWS_AS(util::try_lock_file(directory.file("absent/state")), util::Error);
}

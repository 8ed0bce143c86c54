// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "filters/apply/state/state_lock.hpp"
#include "tests/unit/directory.hpp"

using apply::lock_state;
using testing::Directory;

TEST_CASE("one server at a time holds the lock of a state file") {
  Directory directory;
  std::string path = directory.file("state");
  {
    util::Fd first = lock_state(path);
    CHECK_THROWS_WITH(lock_state(path), Catch::Contains("another server") && Catch::Contains(path));
  }
  CHECK_NOTHROW(lock_state(path));
  CHECK_THROWS_WITH(lock_state("/nonexistent/state"), Catch::Contains("/nonexistent"));
}

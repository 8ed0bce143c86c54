// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"

TEST_CASE("an error of a system call names the file and keeps its errno") {
  try {
    util::open_file("/nonexistent/file", 0);
    FAIL("opened");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == ENOENT);
    CHECK_THAT(e.what(), Catch::Contains("/nonexistent/file") && Catch::Contains("No such file"));
  }
}

TEST_CASE("a file longer than the limit is not read") {
  CHECK_THROWS_WITH(util::read_file("/dev/zero", 100000), Catch::Contains("/dev/zero"));
}

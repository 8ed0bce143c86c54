// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "common/nbdkit/protocol_errno.hpp"
#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/percent.hpp"
#include "common/util/zero.hpp"
#include "tests/unit/directory.hpp"

TEST_CASE("one byte that is not zero is found wherever it is") {
  for (size_t size : {0u, 1u, 15u, 16u, 17u, 511u, 512u, 4096u}) {
    std::vector<std::byte> buffer(size, std::byte{0});
    CHECK(util::is_zero(buffer));
    size_t missed = 0;
    for (size_t i = 0; i < size; ++i) {
      buffer[i] = std::byte{1};
      if (util::is_zero(buffer)) ++missed;
      buffer[i] = std::byte{0};
    }
    CHECK(missed == 0);
  }
}

TEST_CASE("a system call's error names the file and keeps its errno") {
  try {
    util::open_file("/nonexistent/file", 0);
    FAIL("opened");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == ENOENT);
    CHECK_THAT(e.what(), Catch::Contains("/nonexistent/file") && Catch::Contains("No such file"));
  }
}

TEST_CASE("a file too long to be one of ours is not read whole") {
  CHECK_THROWS_WITH(util::read_file("/dev/zero", 100000), Catch::Contains("/dev/zero"));
}

TEST_CASE("the client is told an error that the protocol knows") {
  for (int errnum : {EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, EOPNOTSUPP, ESHUTDOWN})
    CHECK(nbdkit::protocol_errno(errnum) == errnum);
  CHECK(nbdkit::protocol_errno(EACCES) == EPERM);
  for (int errnum : {ETIMEDOUT, ECONNRESET, ENOENT, EPROTO})
    CHECK(nbdkit::protocol_errno(errnum) == EIO);
}

TEST_CASE("percent-encoding leaves letters, digits and what is to be kept") {
  CHECK(util::percent_encode("aZ09-._~") == "aZ09-._~");
  CHECK(util::percent_encode("a/b c%\xc3\xa4") == "a%2Fb%20c%25%C3%A4");
  CHECK(util::percent_encode("/a~", "/") == "/a%7E");
  CHECK(util::percent_encode("").empty());
}

TEST_CASE("a lock of a state file is held by one process, as long as it lives") {
  testing::Directory directory;
  std::string path = directory.file("state");
  auto first = util::try_lock_file(path);
  CHECK(first);
  CHECK(!util::try_lock_file(path));
  first.reset();
  CHECK(util::try_lock_file(path));
  CHECK_THROWS_AS(util::try_lock_file(directory.file("absent/state")), util::Error);
}

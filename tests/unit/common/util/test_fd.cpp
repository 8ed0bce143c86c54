// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/directory.hpp"

namespace {

// As a server has it: with what an earlier request has left there.
std::vector<std::byte> used_buffer(size_t n) {
  return std::vector<std::byte>(n, std::byte{0xaa});
}

}  // namespace

TEST_CASE("beyond the end of a file are zeroes, whatever was in the buffer, or it is an error") {
  testing::Directory d;
  std::string path = d.file("a");
  util::Fd fd = util::open_file(path, O_RDWR | O_CREAT);
  auto content = testing::random_bytes(1000, 1);
  util::write_at(fd, content, 0, path);
  auto bytes = used_buffer(3000);
  util::read_at_or_zero(fd, bytes, 500, path);
  CHECK(std::equal(content.begin() + 500, content.end(), bytes.begin()));
  CHECK(std::count(bytes.begin() + 500, bytes.end(), std::byte{0}) == 2500);
  bytes = used_buffer(100);
  util::read_at_or_zero(fd, bytes, 5000, path);
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == 100);
  util::read_at(fd, bytes, 900, path);
  CHECK(std::equal(content.begin() + 900, content.end(), bytes.begin()));
  try {
    util::read_at(fd, bytes, 901, path);
    FAIL("it was read");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EIO);
    CHECK_THAT(e.what(), Catch::Contains("ends before offset 1001"));
  }
}

TEST_CASE("an error of a read or a write is told with its errno and the file") {
  testing::Directory d;
  std::string path = d.file("a");
  util::Fd writes = util::open_file(path, O_WRONLY | O_CREAT),
           reads = util::open_file(path, O_RDONLY);
  auto bytes = used_buffer(10);
  auto errno_of = [&](auto &&call) {
    try {
      call();
    } catch (const util::Error &e) {
      CHECK_THAT(e.what(), Catch::Contains(path));
      return e.errnum();
    }
    return 0;
  };
  CHECK(errno_of([&] { util::read_at_or_zero(writes, bytes, 0, path); }) == EBADF);
  CHECK(errno_of([&] { util::write_at(reads, bytes, 0, path); }) == EBADF);
  CHECK(errno_of([&] { util::open_file(path + "/b", O_RDONLY); }) == ENOTDIR);
}

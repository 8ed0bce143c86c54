// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/file_lock.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"

using util::FileLock;
namespace fs = std::filesystem;

TEST_CASE("a file lock is held once, until it is released") {
  testing::Directory directory;
  std::string path = directory.file("state");
  auto first = FileLock::try_lock(path);
  CHECK(first);
  CHECK(!FileLock::try_lock(path));
  first.reset();
  CHECK(FileLock::try_lock(path));
  CHECK_THROWS_AS(FileLock::try_lock(directory.file("absent/state")), util::Error);
}

TEST_CASE("a file lock holds by every name of the file") {
  testing::Directory directory;
  fs::create_directory(directory.file("other"));
  std::string path = directory.file("state"), link = directory.file("other/link");
  fs::create_symlink("../state", link);
  fs::create_directory_symlink(".", directory.file("here"));
  {
    // The file does not exist yet.
    auto first = FileLock::try_lock(link);
    CHECK(first);
    CHECK(!FileLock::try_lock(path));
    CHECK(!FileLock::try_lock(directory.file("here/state")));
    CHECK(!fs::exists(link + ".lock"));
  }
  std::ofstream(path) << "{}";
  fs::create_hard_link(path, directory.file("other/hard"));
  auto first = FileLock::try_lock(path);
  CHECK(first);
  CHECK(!FileLock::try_lock(link));
  CHECK(!FileLock::try_lock(directory.file("other/hard")));
  first.reset();
  CHECK(FileLock::try_lock(directory.file("other/hard")));
}

TEST_CASE("a lock file is private, and nothing is created through a link that lies in its place") {
  testing::Directory directory;
  std::string path = directory.file("state");
  mode_t old = ::umask(0);
  auto lock = FileLock::try_lock(path);
  ::umask(old);
  struct stat status = {};
  REQUIRE(::stat((path + ".lock").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);

  std::string other = directory.file("other");
  fs::create_symlink(directory.file("planted"), other + ".lock");
  CHECK_THROWS_AS(FileLock::try_lock(other), util::Error);
  CHECK(!fs::exists(directory.file("planted")));
}

// SPDX-License-Identifier: BSD-3-Clause
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "common/durability/replace_file.hpp"
#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/durable_calls.hpp"

namespace fs = std::filesystem;
using durability::replace_file;

namespace {

mode_t mode_of(const std::string &path) {
  struct stat s = {};
  REQUIRE(::stat(path.c_str(), &s) == 0);
  return s.st_mode & 07777;
}

auto files_in(const std::string &directory) {
  return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

}  // namespace

TEST_CASE("a file is replaced as a whole, and nothing else is left in its directory") {
  testing::Directory d;
  std::string path = d.file("state");
  replace_file(path, "one");
  CHECK(util::read_file(path) == "one");
  replace_file(path, [](const durability::Write &write) {
    for (int i = 0; i < 3; ++i) write("two");
  });
  CHECK(util::read_file(path) == "twotwotwo");
  CHECK(files_in(d.path()) == 1);
}

TEST_CASE("a file stays as it was if its new content cannot be produced") {
  testing::Directory d;
  std::string path = d.file("state");
  replace_file(path, "old");
  CHECK_THROWS_AS(replace_file(path,
                               [](const durability::Write &write) {
                                 write("half");
                                 util::fail(EIO, "no more");
                               }),
                  util::Error);
  CHECK(util::read_file(path) == "old");
  CHECK(files_in(d.path()) == 1);
}

TEST_CASE("a new file can be read by its owner alone, an old one keeps its permissions") {
  testing::Directory d;
  std::string path = d.file("state");
  mode_t before = ::umask(0);
  replace_file(path, "one");
  CHECK(mode_of(path) == 0600);
  ::umask(before);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  replace_file(path, "two");
  CHECK(mode_of(path) == 0640);
}

TEST_CASE(
    "a link that somebody has put where the old name of the new file was is not written through") {
  testing::Directory d;
  std::string path = d.file("state"), precious = d.file("precious");
  std::ofstream(precious) << "precious";
  fs::create_symlink(precious, path + ".tmp");
  replace_file(path, "content");
  CHECK(util::read_file(precious) == "precious");
  CHECK(util::read_file(path) == "content");
}

TEST_CASE("a state that is a symbolic link stays one, and the file that it names is replaced") {
  testing::Directory d;
  std::string path = d.file("link"), real = d.file("real");
  replace_file(real, "one");
  fs::create_symlink("real", path);
  replace_file(path, "two");
  CHECK(fs::is_symlink(path));
  CHECK(util::read_file(real) == "two");
}

TEST_CASE(
    "an existing file is never replaced by a rename that must not, also without RENAME_NOREPLACE") {
  testing::Directory d;
  std::string from = d.file("new"), to = d.file("precious");
  std::ofstream(from) << "new";
  std::ofstream(to) << "precious";
  try {
    durability::rename_file(from, to, false);
    FAIL("renamed");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EEXIST);
  }
  CHECK(util::read_file(to) == "precious");
  durability::rename_file(from, to, true);
  CHECK(util::read_file(to) == "new");
  CHECK(!fs::exists(from));
  durability::rename_file(to, from, false);
  CHECK(util::read_file(from) == "new");
}

TEST_CASE("what a killed process left of a replacement is removed, and only that") {
  testing::Directory d;
  std::string path = d.file("state");
  replace_file(path, "one");
  std::ofstream(path + ".tmp-0123456789abcdef") << "half";
  std::ofstream(d.file("state2.tmp-0123456789abcdef")) << "of another file";
  durability::remove_unfinished(path);
  CHECK(util::read_file(path) == "one");
  CHECK(!fs::exists(path + ".tmp-0123456789abcdef"));
  CHECK(files_in(d.path()) == 2);
}

TEST_CASE("until the rename the old content is there") {
  testing::Directory d;
  std::string path = d.file("state");
  replace_file(path, "old");
  durability::SyncPoint::Hold hold("replace_file.before_rename");
  std::jthread writer([&] { replace_file(path, "new"); });
  hold.wait();
  CHECK(util::read_file(path) == "old");
  hold.release();
  writer.join();
  CHECK(util::read_file(path) == "new");
}

TEST_CASE("a file is replaced in the order that a power failure demands") {
  testing::Directory d;
  std::string path = d.file("state");
  using List = std::vector<std::string>;
  {
    testing::DurableCalls calls;
    replace_file(path, "content");
    CHECK(calls.list() == List{"sync state.tmp 7", "rename state.tmp state", "sync directory"});
  }
  // In parts, also more than are written at once.
  testing::DurableCalls calls;
  replace_file(path, [](const durability::Write &write) {
    for (int i = 0; i < 10; ++i) write(std::string(100'000, 'x'));
  });
  CHECK(calls.list() == List{"sync state.tmp 1000000", "rename state.tmp state", "sync directory"});
  CHECK(util::read_file(path, 2'000'000) == std::string(1'000'000, 'x'));
}

TEST_CASE("a file that may be lost is not synced, and yet replaced as a whole") {
  testing::Directory d;
  testing::DurableCalls calls;
  durability::replace_file_unsynced(d.file("stats"), "content");
  CHECK(calls.list() == std::vector<std::string>{"rename stats.tmp stats"});
}

TEST_CASE("a file has its new name durably") {
  testing::Directory d;
  std::string from = d.file("new"), to = d.file("old");
  for (bool replace : {false, true}) {
    std::ofstream(from) << "new";
    testing::DurableCalls calls;
    durability::rename_file(from, to, replace);
    CHECK(calls.list() == std::vector<std::string>{"rename new old", "sync directory"});
  }
}

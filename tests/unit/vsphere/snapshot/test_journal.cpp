// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/snapshot/journal.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/vsphere/snapshot/child.hpp"

using namespace vsphere;
using testing::in_child;

TEST_CASE("the journal lies beside the state that since= names") {
  testing::Directory directory;
  CHECK(journal_path_of("").empty());
  CHECK(journal_path_of("52 de/7").empty());
  CHECK(journal_path_of("@/a/web1.state") == "/a/web1.state.snapshot");
  CHECK(journal_path_of("@/nonexistent/") == "/nonexistent/snapshot");
  CHECK(journal_path_of("@" + directory.path()) == directory.path() + "/snapshot");
  CHECK(!open_journal("52 de/7"));
  CHECK(open_journal("@" + directory.path() + "/states/"));
  CHECK(std::filesystem::is_directory(directory.path() + "/states"));
}

TEST_CASE("a token is in the file until it is removed") {
  testing::Directory directory;
  const std::string path = directory.path() + "/state.snapshot";
  const std::string first = new_token(), second = new_token();
  CHECK(first.size() == 32);
  CHECK(first != second);
  {
    Journal journal(path);
    CHECK(!std::filesystem::exists(path));
    journal.add(first);
    journal.add(second);
  }
  {
    Journal journal(path);
    CHECK(journal.has(first));
    CHECK(journal.has(second));
    CHECK(!journal.has(new_token()));
    CHECK(!journal.has(""));
    journal.remove(first);
  }
  {
    Journal journal(path);
    CHECK(!journal.has(first));
    CHECK(journal.has(second));
    journal.remove(second);
    journal.remove(second);
  }
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("of tokens that are never removed the newest are kept") {
  testing::Directory directory;
  Journal journal(directory.path() + "/j");
  const std::string oldest = new_token();
  journal.add(oldest);
  std::string last;
  for (int i = 0; i < 16; ++i) journal.add(last = new_token());
  CHECK(!journal.has(oldest));
  CHECK(journal.has(last));
}

TEST_CASE("one process at a time has a journal, and its forked child has it too") {
  testing::Directory directory;
  const std::string path = directory.path() + "/j";
  auto refused = [&] {
    try {
      Journal second(path);
      return 0;
    } catch (const util::Error &e) {
      return e.errnum();
    }
  };
  std::optional<Journal> journal(std::in_place, path);
  CHECK(in_child(refused) == EBUSY);
  journal.reset();
  CHECK(in_child(refused) == 0);
}

TEST_CASE("a file that is no journal is refused, and stays") {
  testing::Directory directory;
  const std::string path = directory.path() + "/j";
  for (const char *text : {"", "{}", "[1]", "{\"nbdkit-replicate-snapshots\":2,\"tokens\":[]}",
                           "{\"nbdkit-replicate-snapshots\":1}"}) {
    std::ofstream(path) << text;
    CHECK_THROWS_WITH(Journal(path), Catch::Contains("is no journal"));
    CHECK(std::filesystem::exists(path));
  }
}

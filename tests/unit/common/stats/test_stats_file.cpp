// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <chrono>

#include "common/stats/stats_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "tests/unit/directory.hpp"

using namespace stats;

TEST_CASE("the file is written at once on request, and at most every two seconds otherwise") {
  testing::Directory directory;
  std::string path = directory.file("stats");
  std::string text = "first\n";
  StatsFile file("x-stats", path, [&] { return text; }, {});
  for (bool due = true; due;) {
    text = "first\n";
    const auto begun = std::chrono::steady_clock::now();
    file.write();
    text = "second\n";
    file.write_if_due();
    due = std::chrono::steady_clock::now() - begun >= std::chrono::seconds(2);
    if (!due) CHECK(*util::read_file(path) == "first\n");
  }
  file.write_anyway();
  CHECK(*util::read_file(path) == "second\n");
}

TEST_CASE("a file that cannot be written is an error at the start, and one warning later") {
  int warnings = 0;
  StatsFile file(
      "x-stats", "/nonexistent/stats", [] { return "x\n"; },
      util::Log([&](util::Level level, const std::string &text) {
        CHECK(level == util::Level::warning);
        CHECK_THAT(text, Catch::Contains("x-stats: cannot open /nonexistent/stats"));
        ++warnings;
      }));
  CHECK_THROWS_WITH(file.write(), Catch::Contains("x-stats: cannot open /nonexistent/stats"));
  file.write_anyway();
  file.write_anyway();
  CHECK(warnings == 1);
}

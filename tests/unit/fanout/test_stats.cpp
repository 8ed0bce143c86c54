// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "filters/fanout/stats_file.hpp"

using namespace fanout;

namespace {

struct Directory {
  Directory() {
    char name[] = "/tmp/replicate-stats-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

CountersList two() {
  CountersList list;
  list.push_back(std::make_unique<Counters>("dr"));
  list.push_back(std::make_unique<Counters>("a \"b\" \\c"));
  return list;
}

}  // namespace

TEST_CASE("each counter has its type, and a line a destination, names quoted") {
  CountersList list = two();
  list[0]->bytes = 4096;
  list[1]->in_flight = 3;
  std::string text = prometheus_text(list);
  CHECK_THAT(text,
             Catch::Contains("# TYPE nbdkit_fanout_bytes_total counter\n"
                             "nbdkit_fanout_bytes_total{destination=\"dr\"} 4096\n"
                             "nbdkit_fanout_bytes_total{destination=\"a \\\"b\\\" \\\\c\"} 0\n"));
  CHECK_THAT(text, Catch::Contains("# TYPE nbdkit_fanout_in_flight gauge\n"));
  CHECK_THAT(text,
             Catch::Contains("nbdkit_fanout_in_flight{destination=\"a \\\"b\\\" \\\\c\"} 3\n"));
  CHECK(text.ends_with("\n"));
}

TEST_CASE("the file is replaced at once when asked, but not again within two seconds when due") {
  Directory directory;
  CountersList list = two();
  std::string path = directory.path + "/stats";
  StatsFile stats(path, list, {});
  stats.write();
  list[0]->requests = 5;
  stats.write_if_due();
  CHECK_THAT(*util::read_file(path), !Catch::Contains("} 5\n"));
  stats.write_anyway();
  CHECK_THAT(*util::read_file(path), Catch::Contains("requests_total{destination=\"dr\"} 5\n"));
}

TEST_CASE("a file that cannot be written is an error at the start, and one warning later") {
  CountersList list = two();
  int warnings = 0;
  StatsFile stats("/nonexistent/stats", list,
                  util::Log([&](util::Level level, const std::string &text) {
                    CHECK(level == util::Level::warning);
                    CHECK_THAT(text, Catch::Contains("/nonexistent/stats"));
                    ++warnings;
                  }));
  CHECK_THROWS_AS(stats.write(), util::Error);
  stats.write_anyway();
  stats.write_anyway();
  CHECK(warnings == 1);
}

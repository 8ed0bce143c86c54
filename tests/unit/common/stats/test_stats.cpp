// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "common/stats/prometheus.hpp"
#include "common/stats/stats_file.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "tests/unit/directory.hpp"

using namespace stats;
using namespace std::chrono_literals;

namespace {}  // namespace

TEST_CASE("each metric has its type, then its values, labels quoted") {
  Prometheus text;
  text.counter("nbdkit_x_bytes_total", "Bytes.").sample("destination", "dr", 4096);
  text.sample("destination", "a \"b\" \\c\nd", 0);
  text.gauge("nbdkit_x_in_flight", "Now.").sample(3);
  CHECK(text.text() ==
        "# HELP nbdkit_x_bytes_total Bytes.\n# TYPE nbdkit_x_bytes_total counter\n"
        "nbdkit_x_bytes_total{destination=\"dr\"} 4096\n"
        "nbdkit_x_bytes_total{destination=\"a \\\"b\\\" \\\\c\\nd\"} 0\n"
        "# HELP nbdkit_x_in_flight Now.\n# TYPE nbdkit_x_in_flight gauge\n"
        "nbdkit_x_in_flight 3\n");
}

TEST_CASE("the file is replaced at once when asked, but not again within two seconds when due") {
  testing::Directory directory;
  std::string path = directory.file("stats");
  std::string text = "first\n";
  StatsFile file("x-stats", path, [&] { return text; }, {});
  file.write();
  text = "second\n";
  file.write_if_due();
  CHECK(*util::read_file(path) == "first\n");
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

TEST_CASE("a ticker ticks until it is gone") {
  std::atomic<int> ticks = 0;
  {
    Ticker ticker(1ms, [&] {
      ++ticks;
      ticks.notify_all();
    });
    for (int seen = 0; seen < 3; seen = ticks) ticks.wait(seen);
  }
  int after = ticks;
  CHECK(after >= 3);
  CHECK(ticks == after);
}

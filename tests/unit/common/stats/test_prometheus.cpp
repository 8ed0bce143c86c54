// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/stats/prometheus.hpp"

using namespace stats;

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

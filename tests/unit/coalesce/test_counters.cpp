// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/counters.hpp"

using namespace coalesce;

TEST_CASE("the counters as text of Prometheus and in one line") {
  Counters counters;
  counters.requests = 7;
  counters.gap_bytes = 4096;
  std::string text = prometheus_text(counters, 99);
  CHECK_THAT(text, Catch::Contains("nbdkit_coalesce_requests_total 7\n"));
  CHECK_THAT(text, Catch::Contains("# TYPE nbdkit_coalesce_gap_bytes_total counter\n"));
  CHECK_THAT(text, Catch::Contains("nbdkit_coalesce_held_bytes 99\n"));
  CHECK_THAT(summary(counters), Catch::Contains("7 requests") && Catch::Contains("4096 in gaps"));
}

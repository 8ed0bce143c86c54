// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/counters.hpp"

using namespace vsphere;

TEST_CASE("reads, failed reads and retries are counted") {
  Counters counters;
  CHECK(counters.summary().empty());
  counters.count(100, [] {});
  counters.count(11, [] {});
  CHECK_THROWS_AS(counters.count(50, [] { util::fail(EIO, "no"); }), util::Error);
  counters.add_retry();
  CHECK_THAT(counters.summary(),
             Catch::Contains("read 111 bytes in 3 requests, 1 failed, 1 retries, "));
}

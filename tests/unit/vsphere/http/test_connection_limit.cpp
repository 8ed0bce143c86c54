// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <chrono>

#include "plugins/vsphere/http/connection_limit.hpp"

using namespace vsphere;
using std::chrono::seconds;

namespace {

const ConnectionLimit::Time start{seconds(1000)};

}  // namespace

TEST_CASE("a refusal lowers the limit to what is served, and is told when it is news") {
  ConnectionLimit limit(4);
  CHECK(limit.connections(start) == 4);
  CHECK(limit.refused(3, start));
  CHECK(limit.connections(start) == 3);
  CHECK_FALSE(limit.refused(3, start));
  CHECK(limit.refused(1, start));
  CHECK(limit.connections(start) == 1);
  CHECK_FALSE(limit.refused(3, start));
  CHECK(limit.connections(start) == 1);
}

TEST_CASE("without a connection that is served the limit stays") {
  ConnectionLimit limit(4);
  CHECK_FALSE(limit.refused(0, start));
  CHECK(limit.connections(start) == 4);
}

TEST_CASE("a minute after a refusal one more is tried, up to the most") {
  ConnectionLimit limit(4);
  CHECK(limit.refused(2, start));
  CHECK(limit.connections(start + seconds(59)) == 2);
  CHECK(limit.connections(start + seconds(60)) == 3);
  CHECK(limit.connections(start + seconds(61)) == 3);
  CHECK_FALSE(limit.refused(2, start + seconds(61)));
  CHECK(limit.connections(start + seconds(120)) == 2);
  CHECK(limit.connections(start + seconds(121)) == 3);
  CHECK(limit.connections(start + seconds(181)) == 4);
  CHECK(limit.connections(start + seconds(1000)) == 4);
}

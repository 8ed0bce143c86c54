// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "common/nbd/pool.hpp"
#include "tests/unit/common/nbd/small_server.hpp"

using namespace std::chrono_literals;
using Reply = SmallServer::Reply;

TEST_CASE("a pool uses the connections that could be made, and warns about the others") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; }, 2);
  std::vector<std::string> warnings;
  nbd::Options o;
  o.uri = server.uri();
  o.name = "dr";
  o.connect_timeout = 300ms;
  o.request_timeout = 30s;
  nbd::Pool pool(o, 4, util::Log([&](util::Level level, const std::string &text) {
                   if (level == util::Level::warning) warnings.push_back(text);
                 }));
  CHECK(pool.connections() == 2);
  REQUIRE(warnings.size() == 1);  // one timeout, not one for each
  CHECK_THAT(warnings[0], Catch::StartsWith("dr: ") && Catch::Contains("--shared") &&
                              Catch::EndsWith("going on with 2 of 4 connections"));
  CHECK(!pool.dead());
}

TEST_CASE("a pool to a server that does not exist is an error at once") {
  nbd::Options options;
  options.uri = "nbd+unix:///?socket=/nonexistent/socket";
  CHECK_THROWS_WITH(nbd::Pool(options, 4), Catch::Contains("/nonexistent/socket"));
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"
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

TEST_CASE("an interruption ends a connection that is not made, and a read that is not answered") {
  nbd::Options options;
  options.connect_timeout = options.request_timeout = 60s;
  int calls = 0;
  options.interrupt = [&calls] {
    if (++calls == 3) throw util::Error(EINTR, "interrupted");
  };
  const auto begin = std::chrono::steady_clock::now();
  {
    SmallServer full([](const SmallRequest &) { return Reply::ok; }, 0);
    options.uri = full.uri();
    CHECK_THROWS_WITH(nbd::Pool(options, 1), "interrupted");
  }
  SmallServer one_slot([](const SmallRequest &) { return Reply::ok; }, 1);
  options.uri = one_slot.uri();
  calls = 0;
  CHECK_THROWS_WITH(nbd::Pool(options, 2), "interrupted");  // by the second one

  SmallServer silent([](const SmallRequest &) { return Reply::never; });
  options.uri = silent.uri();
  calls = -1000;
  nbd::Pool pool(options, 1);
  calls = 0;
  std::vector<std::byte> buffer(512);
  CHECK_THROWS_WITH(pool.pread(buffer, 0), "interrupted");
  CHECK(std::chrono::steady_clock::now() - begin < 30s);
  CHECK(pool.dead());
}

TEST_CASE("a pool to a server that does not exist is an error at once") {
  nbd::Options options;
  options.uri = "nbd+unix:///?socket=/nonexistent/socket";
  CHECK_THROWS_WITH(nbd::Pool(options, 4), Catch::Contains("/nonexistent/socket"));
}

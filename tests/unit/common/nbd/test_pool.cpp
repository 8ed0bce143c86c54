// SPDX-License-Identifier: BSD-3-Clause
#include <libnbd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
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
  o.connect_timeout = 5s;  // which the first two must not reach
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

namespace {

// The map that a pool reads from a server that tells of it in such a way.
std::vector<extents::Extent> map_of(SmallServer::Tell tell) {
  SmallServer server([](const SmallRequest &) { return Reply::ok; }, 1, std::move(tell));
  nbd::Options o;
  o.uri = server.uri();
  o.context = nbd::base_allocation;
  o.connect_timeout = o.request_timeout = 30s;
  nbd::Pool pool(o, 1);
  std::vector<extents::Extent> map;
  pool.read_map([&](const extents::Extent &e) { map.push_back(e); });
  return map;
}

constexpr uint32_t hole_and_zero = 3;

}  // namespace

TEST_CASE("a server that tells of a part of the map is asked for the rest") {
  constexpr uint64_t piece = 96u << 10, size = 1u << 20;
  auto map = map_of([&](const SmallRequest &request) {
    uint32_t length = static_cast<uint32_t>(std::min<uint64_t>(piece, request.count));
    bool data = request.offset / piece % 2 == 0;
    return std::vector<std::pair<uint32_t, uint32_t>>{{length, data ? 0 : hole_and_zero}};
  });
  uint64_t at = 0;
  for (const extents::Extent &e : map) {
    CHECK(e ==
          extents::Extent{at, std::min(piece, size - at),
                          at / piece % 2 == 0 ? extents::data : extents::hole | extents::zero});
    at += e.length;
  }
  CHECK(at == size);
}

TEST_CASE("a server may tell of more than it was asked for; what is beyond is not taken") {
  auto ask = [] {
    return map_of([](const SmallRequest &) {
      return std::vector<std::pair<uint32_t, uint32_t>>{{1024, 0}, {1u << 21, hole_and_zero}};
    });
  };
#ifdef LIBNBD_HAVE_NBD_BLOCK_STATUS_64
  // Since it has this call, libnbd itself refuses what is beyond the end of the disk.
  CHECK_THROWS_WITH(ask(), Catch::Contains("Protocol error"));
#else
  auto map = ask();
  REQUIRE(map.size() == 2);
  CHECK(map[0] == extents::Extent{0, 1024, extents::data});
  CHECK(map[1] == extents::Extent{1024, (1u << 20) - 1024, extents::hole | extents::zero});
#endif
}

TEST_CASE("a server that cannot tell of its map: all of it is data") {
  auto map = map_of(nullptr);
  REQUIRE(map.size() == 1);
  CHECK(map[0] == extents::Extent{0, 1u << 20, extents::data});
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
  CHECK(std::chrono::steady_clock::now() - begin < 5min);
  CHECK(pool.dead());
}

TEST_CASE("a pool to a server that does not exist is an error at once") {
  nbd::Options options;
  options.uri = "nbd+unix:///?socket=/nonexistent/socket";
  CHECK_THROWS_WITH(nbd::Pool(options, 4), Catch::Contains("/nonexistent/socket"));
}

TEST_CASE("a server that tells nothing of its map is an error, and is not asked for ever") {
  CHECK_THROWS_AS(map_of([](const SmallRequest &) {
                    return std::vector<std::pair<uint32_t, uint32_t>>{{0, 0}};
                  }),
                  util::Error);
}

TEST_CASE("requests go to the connection with the fewest under way") {
  std::atomic<int> busy = -1, other = -1;
  std::optional<SmallServer> server;
  server.emplace(
      [&](const SmallRequest &request) {
        (request.offset == 0 ? busy : other) = request.slot;
        return request.offset == 0 ? Reply::never : Reply::ok;
      },
      2);
  nbd::Options o;
  o.uri = server->uri();
  o.connect_timeout = o.request_timeout = 30s;
  nbd::Pool pool(o, 2);
  std::vector<std::byte> a(512), b(512);
  std::atomic<bool> failed = false;
  std::jthread waits([&] {
    try {
      pool.pread(a, 0);
    } catch (const util::Error &) {
      failed = true;
    }
  });
  while (busy == -1) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) {
    pool.pread(b, 4096);
    CHECK(other != busy);
  }
  server.reset();  // ends the one that waits
  waits.join();
  CHECK(failed);
}

TEST_CASE("a pool of which one connection is lost is dead") {
  SmallServer server(
      [](const SmallRequest &request) { return request.offset == 0 ? Reply::hang_up : Reply::ok; },
      2);
  nbd::Options o;
  o.uri = server.uri();
  nbd::Pool pool(o, 2);
  REQUIRE(pool.connections() == 2);
  std::vector<std::byte> buffer(512);
  pool.pread(buffer, 4096);
  CHECK_FALSE(pool.dead());
  CHECK_THROWS_AS(pool.pread(buffer, 0), util::Error);
  CHECK(pool.dead());
}

TEST_CASE(
    "a pool is used with its first connection, which some requests leave to others once there are "
    "more") {
  std::atomic<int> slot = -1;
  SmallServer server(
      [&](const SmallRequest &request) {
        slot = request.slot;
        return Reply::ok;
      },
      3);
  nbd::Options o;
  o.uri = server.uri();
  o.connect_timeout = o.request_timeout = 30s;
  nbd::Pool pool(o, 1, {}, 3);
  std::vector<std::byte> buffer(512);
  pool.pread(buffer, 0, 1);
  const int first = slot;
  CHECK(pool.connections() == 1);
  pool.add_connections(3);
  CHECK(pool.connections() == 3);
  for (int i = 0; i < 3; ++i) {
    pool.pread(buffer, 0, 1);
    CHECK(slot != first);
  }
  pool.pread(buffer, 0);
  CHECK(slot == first);
  pool.add_connections(4);
  CHECK(pool.connections() == 3);
}

TEST_CASE("a further connection that shows another disk than the first one is not used") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; }, 4, nullptr,
                     [](int connection) { return connection == 2 ? "c2" : "c1"; });
  nbd::Options o;
  o.uri = server.uri();
  o.connect_timeout = o.request_timeout = 30s;
  std::vector<std::string> warnings;
  nbd::Pool pool(o, 4, util::Log([&](util::Level level, const std::string &text) {
                   if (level == util::Level::warning) warnings.push_back(text);
                 }));
  CHECK(pool.connections() == 2);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("another disk than the first one") &&
                              Catch::Contains("going on with 2 of 4 connections"));
}

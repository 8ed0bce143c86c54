// SPDX-License-Identifier: BSD-3-Clause
//
// A source's server that is lost, or does not answer.
#include <atomic>

#include "common/util/error.hpp"
#include "filters/apply/source/aligned_reads.hpp"
#include "filters/apply/source/reconnecting_pool.hpp"
#include "filters/apply/source/source.hpp"
#include "tests/unit/common/nbd/small_server.hpp"

using namespace apply;
using Reply = SmallServer::Reply;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

// For what has to reach a time limit, and for what must not.
const Timeouts quick{.connect = 500ms, .request = 300ms, .pause = 10ms};
const Timeouts patient{.connect = 5min, .request = 5min, .pause = 10ms};

std::vector<std::byte> read(ReconnectingPool &pool, uint64_t offset, size_t length) {
  std::vector<std::byte> buffer(length, std::byte{1});
  std::vector<DiskRead> reads = {{offset, buffer}};
  pool.with([&](nbd::Pool &p) { read_aligned(p, reads); });
  return buffer;
}

}  // namespace

TEST_CASE("a lost connection is made again once, and the read is repeated") {
  for (Reply loss : {Reply::hang_up, Reply::never}) {
    std::atomic<int> requests = 0, checks = 0;
    SmallServer server([&](const SmallRequest &) { return ++requests == 2 ? loss : Reply::ok; }, 2);
    Timeouts timeouts = patient;
    if (loss == Reply::never) timeouts.request = 5s;  // which the other requests must not reach
    ReconnectingPool pool(server.uri(), timeouts, [&](const nbd::Info &info) {
      ++checks;
      CHECK(info.size == 1u << 20);
    });
    CHECK(read(pool, 0, 512) == std::vector<std::byte>(512));
    CHECK(read(pool, 777, 1000) == std::vector<std::byte>(1000));
    CHECK(requests == 3);
    CHECK(checks == 2);
  }
}

TEST_CASE(
    "a server that is lost twice, or does not answer twice, is an error within the timeouts") {
  for (Reply loss : {Reply::hang_up, Reply::never}) {
    SmallServer server([&](const SmallRequest &) { return loss; }, 2);
    Timeouts timeouts = patient;
    if (loss == Reply::never) timeouts.request = quick.request;
    ReconnectingPool pool(server.uri(), timeouts);
    auto start = Clock::now();
    CHECK_THROWS_WITH(read(pool, 4096, 512), Catch::Contains("cannot read at offset 4096") &&
                                                 Catch::Contains("second time") &&
                                                 Catch::Contains("apply-from="));
    CHECK(Clock::now() - start < 5min);
  }
}

TEST_CASE("a server that does not listen is connected to twice") {
  auto start = Clock::now();
  ReconnectingPool pool("nbd+unix:///?socket=/nonexistent/s", quick);
  CHECK_THROWS_WITH(pool.info(), Catch::Contains("/nonexistent/s"));
  CHECK(Clock::now() - start >= quick.pause);
  CHECK(Clock::now() - start < 5min);
}

TEST_CASE("a source that is another one after reconnecting is not read") {
  std::atomic<int> requests = 0;
  SmallServer server([&](const SmallRequest &) { return ++requests, Reply::hang_up; }, 2);
  std::atomic<int> connections = 0;
  ReconnectingPool pool(server.uri(), patient, [&](const nbd::Info &) {
    if (++connections == 2) util::fail(ESTALE, "another one");
  });
  CHECK_THROWS_WITH(read(pool, 0, 512), "another one");
  CHECK(requests == 1);
  CHECK(connections == 2);
}

TEST_CASE("a source without base:allocation is all data; a source that is gone is an error") {
  std::string uri;
  {
    SmallServer server([](const SmallRequest &) { return Reply::ok; }, 8);
    uri = server.uri();
    auto source = make_source(uri, patient);
    DeltaView view = source->load();
    CHECK(view.map.size() == 1u << 20);
    CHECK(view.map.delta_bytes() == 1u << 20);
    auto bytes = source->connect(view);
    std::vector<extents::Range> ranges = {{0, 1u << 20}, {5, 3}};
    CHECK(are_zero(*bytes, ranges) == std::vector<bool>{true, true});
  }
  auto source = make_source(uri, quick);
  CHECK_THROWS_AS(source->load(), util::Error);
}

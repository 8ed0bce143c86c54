// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <random>

#include "filters/coalesce/cache/chunk_map.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/plan/window.hpp"
#include "filters/coalesce/plan/known_extents.hpp"
#include "filters/coalesce/plan/slow_read_detector.hpp"
#include "filters/coalesce/stream/stream_table.hpp"

using namespace coalesce;
using extents::Extent, extents::Range;
using std::chrono::microseconds;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t far = ~uint64_t{0};
uint64_t not_known(uint64_t, uint64_t) {
  return far;
}

}  // namespace

TEST_CASE("the second read in order makes a stream") {
  Streams streams(1000);
  CHECK_FALSE(streams.observe({5000, 10}, false, not_known)->sequential());
  CHECK_FALSE(streams.observe({5011, 10}, false, not_known)->sequential());
  Stream *s = streams.observe({5010, 1}, false, not_known);
  CHECK(s->sequential());
  CHECK(s->head == 5011);
}

TEST_CASE("several streams are told apart, and may be out of order") {
  Streams streams(100);
  uint64_t ids[4];
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 4; ++i) {
      ids[i] = streams.observe({i * 10000 + uint64_t(round) * 10, 10}, false, not_known)->id;
    }
  }
  CHECK(streams.active() == 4);
  CHECK(streams.observe({10060, 10}, false, not_known)->id == ids[1]);
  CHECK(streams.observe({10030, 10}, false, not_known)->id == ids[1]);
  CHECK(streams.find(ids[1])->head == 10070);
  CHECK(streams.observe({30020, 10}, false, not_known)->id == ids[3]);
}

TEST_CASE("random reads make no stream") {
  Streams streams(1u << 20);
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    Stream *s = streams.observe({(random() % (uint64_t{1} << 28)) * 4096, 4096}, false, not_known);
    if (s != nullptr) REQUIRE_FALSE(s->sequential());
  }
}

TEST_CASE("what is skipped because it is not wanted does not break a stream") {
  Streams streams(100);
  auto hole = [](uint64_t, uint64_t) { return uint64_t{0}; };
  uint64_t id = streams.observe({0, 10}, false, hole)->id;
  Stream *s = streams.observe({uint64_t{1} << 40, 10}, false, hole);
  CHECK(s->id == id);
  CHECK(s->sequential());
}

TEST_CASE("what was read ahead for another stream is expected to go on") {
  Streams streams(100);
  CHECK(streams.observe({5000, 10}, true, not_known)->sequential());
}

TEST_CASE("streams are served in turn, and forgotten when they are read no more") {
  Streams streams(100);
  for (uint64_t i = 0; i < 3; ++i) {
    streams.observe({i * 10000, 10}, false, not_known);
    streams.observe({i * 10000 + 10, 10}, false, not_known);
  }
  std::vector<uint64_t> served;
  for (int i = 0; i < 6; ++i) {
    streams.serve([&](Stream &s) {
      served.push_back(s.head / 10000);
      return true;
    });
  }
  std::sort(served.begin(), served.begin() + 3);
  CHECK(std::vector(served.begin(), served.begin() + 3) == std::vector<uint64_t>{0, 1, 2});
  for (uint64_t i = 1; i < 400; ++i) streams.observe({10 + i * 10, 10}, false, not_known);
  CHECK(streams.active() == 1);
}

TEST_CASE("a range is split into what is held and what is not") {
  Budget budget(1000);
  Chunks chunks;
  auto add = [&](uint64_t offset, uint64_t length) {
    auto c =
        std::make_shared<Chunk>(Range{offset, length}, Buffer::allocate(budget, length), 10000);
    chunks.insert(c);
    return c;
  };
  auto a = add(100, 50), b = add(150, 50), c = add(300, 10);
  auto parts = chunks.split({120, 200});
  REQUIRE(parts.size() == 5);
  CHECK(parts[0].range == Range{120, 30});
  CHECK(parts[0].chunk == a);
  CHECK(parts[1].range == Range{150, 50});
  CHECK(parts[1].chunk == b);
  CHECK(parts[2].range == Range{200, 100});
  CHECK(parts[2].chunk == nullptr);
  CHECK(parts[3].chunk == c);
  CHECK(parts[4].range == Range{310, 10});
  CHECK(chunks.split({0, 100}).size() == 1);
  CHECK(chunks.meeting({199, 1}) == std::vector{b});
  CHECK(chunks.erase(b));
  CHECK_FALSE(chunks.erase(b));
  CHECK(chunks.meeting({0, 10000}).size() == 2);
}

TEST_CASE("the budget is a limit, and comes back with the buffer") {
  Budget budget(10000);
  Buffer a = Buffer::allocate(budget, 6000);
  CHECK(a);
  CHECK_FALSE(Buffer::allocate(budget, 4001));
  {
    Buffer b = Buffer::allocate(budget, 4000);
    CHECK(b);
    CHECK(budget.used() == 10000);
  }
  CHECK(budget.used() == 6000);
  a = Buffer();
  CHECK(budget.used() == 0);
}

TEST_CASE("memory is used again, and what is kept counts") {
  Budget budget(10000);
  Buffer a = Buffer::allocate(budget, 4000);
  std::byte *const where = a.bytes().data();
  a = Buffer();
  CHECK(budget.used() == 0);
  CHECK(budget.spare() == 4000);
  SECTION("by one that is a little smaller") {
    a = Buffer::allocate(budget, 3500);
    CHECK(a.bytes().data() == where);
    CHECK(a.bytes().size() == 3500);
    CHECK(budget.used() == 4000);
    CHECK(budget.spare() == 0);
  }
  SECTION("not by one that is much smaller, or larger") {
    Buffer b = Buffer::allocate(budget, 1000), c = Buffer::allocate(budget, 4001);
    CHECK(budget.used() == 5001);
    CHECK(budget.spare() == 4000);
    // There is room for this one only without what is kept.
    Buffer d = Buffer::allocate(budget, 4999);
    CHECK(d);
    CHECK(budget.spare() == 0);
  }
  SECTION("it goes back when nobody reads any more") {
    budget.drop_spares();
    CHECK(budget.spare() == 0);
    CHECK(Buffer::allocate(budget, 10000));
  }
}

TEST_CASE("what was asked for before a write is not learned after it") {
  DiskMap map(1000);
  map.learn(map.generation(), {{0, 100, extents::hole}, {100, 100, extents::data}});
  CHECK(map.known({50, 500}) ==
        std::vector<Extent>{{50, 50, extents::hole}, {100, 100, extents::data}});
  CHECK(map.known({200, 10}).empty());
  uint64_t before = map.generation();
  map.forget();
  map.learn(before, {{0, 100, extents::hole}});
  CHECK_FALSE(map.knows(0));
  CHECK(map.written());
}

TEST_CASE("a layer is slow if most of its reads are") {
  Pace pace(microseconds(300));
  CHECK_FALSE(pace.slow());
  pace.sample(microseconds(1000), true);
  pace.sample(microseconds(1000), true);
  CHECK_FALSE(pace.slow());
  pace.sample(microseconds(1000), true);
  CHECK(pace.slow());
  pace.sample(microseconds(1000), false);  // it was the processor that was busy
  pace.sample(microseconds(100), true);
  CHECK_FALSE(pace.slow());
  CHECK(Pace(microseconds(0)).slow());
}

TEST_CASE("the stream that has the least ahead is served first") {
  Streams streams(100);
  auto two_reads = [&](uint64_t at) {
    streams.observe({at, 10}, false, not_known);
    return streams.observe({at + 10, 10}, false, not_known)->id;
  };
  uint64_t a = two_reads(0), b = two_reads(10000);
  streams.find(a)->ahead = 50;
  std::vector<uint64_t> order;
  auto look = [&](Stream &s) {
    order.push_back(s.id);
    return false;
  };
  streams.serve(look);
  CHECK(order == std::vector{b, a});
  streams.find(b)->ahead = 60;
  streams.serve(look);
  CHECK(order == std::vector{b, a, a, b});
}

TEST_CASE("a pinned stream is served in its own turn, and no read belongs to it") {
  Streams streams(100);
  streams.pin({5000, 10});
  std::vector<uint64_t> pinned;
  streams.serve_pinned([&](Stream &s) {
    pinned.push_back(s.id);
    CHECK(s.fetched == 5000);
    CHECK(s.end == 5010);
    CHECK_FALSE(streams.stale(s));
    return true;
  });
  REQUIRE(pinned.size() == 1);
  CHECK(streams.find(pinned[0]) != nullptr);
  CHECK(streams.observe({5000, 10}, false, not_known)->id != pinned[0]);
  CHECK(streams.active() == 0);
  streams.erase(pinned[0]);
  CHECK(streams.find(pinned[0]) == nullptr);
}

TEST_CASE("the depth is what a reader consumes during two fetches") {
  Depth depth;
  Depth::Rate rate;
  Depth::Time now{1h};
  CHECK(depth.bytes(rate) == 0);
  depth.fetched(50ms);
  rate.observe(0, now);
  rate.observe(1000, now + 50ms);  // too soon to tell
  CHECK(depth.bytes(rate) == 0);
  rate.observe(10'000'000, now + 100ms);
  CHECK(depth.bytes(rate) == Approx(10'000'000).epsilon(0.01));
  for (int i = 0; i < 100; ++i) depth.fetched(5ms);
  CHECK(depth.bytes(rate) == Approx(1'000'000).epsilon(0.01));
}

TEST_CASE("the counters as text and in one line") {
  Counters counters;
  counters.requests = 7;
  counters.gap_bytes = 4096;
  std::string text = prometheus_text(counters, 99);
  CHECK_THAT(text, Catch::Contains("nbdkit_coalesce_requests_total 7\n"));
  CHECK_THAT(text, Catch::Contains("# TYPE nbdkit_coalesce_gap_bytes_total counter\n"));
  CHECK_THAT(text, Catch::Contains("nbdkit_coalesce_held_bytes 99\n"));
  CHECK_THAT(summary(counters), Catch::Contains("7 requests") && Catch::Contains("4096 in gaps"));
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include "filters/coalesce/stream/stream_table.hpp"

using namespace coalesce;

namespace {

uint64_t unknown(uint64_t, uint64_t) {
  return ~uint64_t{0};
}

}  // namespace

TEST_CASE("the second read in order makes a stream sequential") {
  StreamTable streams(1000);
  CHECK_FALSE(streams.observe({5000, 10}, false, unknown)->sequential());
  CHECK_FALSE(streams.observe({5011, 10}, false, unknown)->sequential());
  Stream *s = streams.observe({5010, 1}, false, unknown);
  CHECK(s->sequential());
  CHECK(s->head == 5011);
}

TEST_CASE("several streams are told apart, and may be out of order") {
  StreamTable streams(100);
  uint64_t ids[4];
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 4; ++i) {
      ids[i] = streams.observe({i * 10000 + uint64_t(round) * 10, 10}, false, unknown)->id;
    }
  }
  CHECK(streams.active() == 4);
  CHECK(streams.observe({10060, 10}, false, unknown)->id == ids[1]);
  CHECK(streams.observe({10030, 10}, false, unknown)->id == ids[1]);
  CHECK(streams.find(ids[1])->head == 10070);
  CHECK(streams.observe({30020, 10}, false, unknown)->id == ids[3]);
}

TEST_CASE("random reads make no sequential stream") {
  StreamTable streams(1u << 20);
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    Stream *s = streams.observe({(random() % (uint64_t{1} << 28)) * 4096, 4096}, false, unknown);
    if (s != nullptr) REQUIRE_FALSE(s->sequential());
  }
}

TEST_CASE("a stream continues across a gap without data") {
  StreamTable streams(100);
  auto hole = [](uint64_t, uint64_t) { return uint64_t{0}; };
  uint64_t id = streams.observe({0, 10}, false, hole)->id;
  Stream *s = streams.observe({uint64_t{1} << 40, 10}, false, hole);
  CHECK(s->id == id);
  CHECK(s->sequential());
}

TEST_CASE("a read of what was read ahead for another stream is sequential at once") {
  StreamTable streams(100);
  CHECK(streams.observe({5000, 10}, true, unknown)->sequential());
}

TEST_CASE("streams are served in turn, and become stale when they are read no more") {
  StreamTable streams(100);
  for (uint64_t i = 0; i < 3; ++i) {
    streams.observe({i * 10000, 10}, false, unknown);
    streams.observe({i * 10000 + 10, 10}, false, unknown);
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
  for (uint64_t i = 1; i < 400; ++i) streams.observe({10 + i * 10, 10}, false, unknown);
  CHECK(streams.active() == 1);
}

TEST_CASE("the stream with the least cached is served first") {
  StreamTable streams(100);
  auto two_reads = [&](uint64_t at) {
    streams.observe({at, 10}, false, unknown);
    return streams.observe({at + 10, 10}, false, unknown)->id;
  };
  uint64_t a = two_reads(0), b = two_reads(10000);
  streams.find(a)->cached = 50;
  std::vector<uint64_t> order;
  auto look = [&](Stream &s) {
    order.push_back(s.id);
    return false;
  };
  streams.serve(look);
  CHECK(order == std::vector{b, a});
  streams.find(b)->cached = 60;
  streams.serve(look);
  CHECK(order == std::vector{b, a, a, b});
}

TEST_CASE("a pinned stream is served apart from the others, and no read belongs to it") {
  StreamTable streams(100);
  streams.pin({5000, 10});
  std::vector<uint64_t> pinned;
  streams.serve_pinned([&](Stream &s) {
    pinned.push_back(s.id);
    CHECK(s.next_fetch == 5000);
    CHECK(s.end == 5010);
    CHECK_FALSE(streams.stale(s));
    return true;
  });
  REQUIRE(pinned.size() == 1);
  CHECK(streams.find(pinned[0]) != nullptr);
  CHECK(streams.observe({5000, 10}, false, unknown)->id != pinned[0]);
  CHECK(streams.active() == 0);
  streams.erase(pinned[0]);
  CHECK(streams.find(pinned[0]) == nullptr);
}

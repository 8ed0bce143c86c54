// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/chunks/chunk_fetcher.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/pull/fakes.hpp"

using durability::SyncPoint;
using extents::Range;
using namespace pull;

namespace {

constexpr uint64_t size = 4 << 20, chunk = 1 << 20;

struct Setup {
  extents::RangeSet owed = [] {
    extents::RangeSet set(size);
    set.add({0, size});
    return set;
  }();
  Presence presence{owed};
  extents::RangeLock changes;
  testing::FakeLocal local{size};
  testing::FakeRemote remote;
  Memory memory{8 * chunk};
  Counters counters;
  ChunkFetcher fetcher{presence, changes, local, remote, memory, counters};

  // As a client does it.
  void write(Range range, char content) {
    std::vector<std::byte> data(range.length, std::byte(content));
    extents::RangeLock::Hold hold(changes, range);
    local.write(data, range.offset, false);
    presence.written(range, scope);
  }
  Presence::Scope scope = presence.open();
};

}  // namespace

TEST_CASE("a write during a fetch of the same chunk wins, also if the source was read before it") {
  Setup s;
  SyncPoint::Hold hold("pull.fetched");
  std::jthread fetch([&] { s.fetcher.fetch({0, chunk}, Waiting::background); });
  hold.wait();
  s.write({100, 50}, 'c');
  hold.release();
  fetch.join();
  CHECK(s.local.at(99) == std::byte('s'));
  CHECK(s.local.at(100) == std::byte('c'));
  CHECK(s.local.at(149) == std::byte('c'));
  CHECK(s.local.at(150) == std::byte('s'));
  CHECK(s.presence.here({0, chunk}));
}

TEST_CASE("a write waits while a fetch writes the same bytes, and is not undone by it") {
  Setup s;
  SyncPoint::Hold hold("pull.stored");
  std::jthread fetch([&] { s.fetcher.fetch({0, chunk}, Waiting::background); });
  hold.wait();
  std::jthread write([&] { s.write({100, 50}, 'c'); });
  CHECK(s.local.at(100) == std::byte('s'));
  hold.release();
  fetch.join();
  write.join();
  CHECK(s.local.at(100) == std::byte('c'));
}

TEST_CASE("a chunk that another thread fetches is waited for, and read once") {
  Setup s;
  SyncPoint::Hold hold("pull.fetched");
  std::jthread first([&] { CHECK(s.fetcher.fetch({0, chunk}, Waiting::background)); });
  hold.wait();
  bool ours = true;
  SyncPoint::Hold waits("pull.waits_for_fetch");
  std::jthread second([&] { ours = s.fetcher.fetch({0, chunk}, Waiting::client); });
  waits.wait();
  waits.release();
  hold.release();
  second.join();
  first.join();
  CHECK_FALSE(ours);
  CHECK(s.remote.reads == 1);
  CHECK(s.presence.here({0, chunk}));
}

TEST_CASE("what could not be read, or not be stored, stays missing") {
  Setup s;
  s.remote.fails = true;
  CHECK_THROWS(s.fetcher.fetch({0, chunk}, Waiting::client));
  s.remote.fails = false;
  s.local.fails = true;
  CHECK_THROWS(s.fetcher.fetch({0, chunk}, Waiting::client));
  CHECK(s.presence.missing_bytes() == size);
  s.local.fails = false;
  CHECK(s.fetcher.fetch({0, chunk}, Waiting::client));
  CHECK(s.presence.missing_bytes() == size - chunk);
}

TEST_CASE("zeroes are written as zeroes, or left where the disk below reads as zeroes") {
  Setup s;
  s.remote.content = std::byte{0};
  CHECK(s.fetcher.fetch({0, chunk}, Waiting::client));
  CHECK(s.local.zeroes == 1);
  s.write({chunk + 10, 10}, 'c');
  CHECK(s.fetcher.fetch_zeroes({chunk, chunk}));
  CHECK(s.local.zeroes == 3);
  CHECK(s.local.at(chunk + 10) == std::byte('c'));
  s.local.is_new = true;
  CHECK(s.fetcher.fetch_zeroes({2 * chunk, chunk}));
  CHECK(s.local.zeroes == 3);
  CHECK(s.presence.here({2 * chunk, chunk}));
  CHECK(s.remote.reads == 1);
}

TEST_CASE("after a failed flush zeroes are written also where the disk below reads as zeroes") {
  Setup s;
  s.local.is_new = true;
  CHECK(s.fetcher.fetch_zeroes({0, chunk}));
  CHECK(s.local.zeroes == 0);
  s.presence.end_fetched_flush(s.presence.begin_fetched_flush(), Presence::Result::lost);
  CHECK(s.fetcher.fetch_zeroes({0, chunk}));
  CHECK(s.local.zeroes == 1);
}

TEST_CASE("what is here already is not read again, unless it is little") {
  Setup s;
  constexpr uint64_t k = 1 << 10;
  s.write({64 * k, 512 * k}, 'c');
  s.write({700 * k, 4 * k}, 'c');
  s.fetcher.fetch({0, chunk}, Waiting::background);
  CHECK(s.remote.reads == 2);
  CHECK(s.counters.fetched == chunk - 512 * k);
  CHECK(s.local.at(64 * k - 1) == std::byte('s'));
  CHECK(s.local.at(64 * k) == std::byte('c'));
  CHECK(s.local.at(701 * k) == std::byte('c'));
  CHECK(s.local.at(chunk - 1) == std::byte('s'));
}

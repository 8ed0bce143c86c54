// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/chunks/presence.hpp"

#include <catch2/catch.hpp>
#include <thread>

using extents::Range;
using pull::Presence;

namespace {

extents::RangeSet all(uint64_t size) {
  extents::RangeSet set(size);
  set.add({0, size});
  return set;
}

void flush(Presence &p, Presence::Scope scope, bool succeeded = true) {
  auto flush = p.begin_flush(scope);
  p.end_flush(scope, flush, succeeded);
}

}  // namespace

TEST_CASE("what was fetched is here at once, and owed until a flush that began after it") {
  Presence p(all(100));
  auto before = p.begin_fetched_flush();
  CHECK(before.empty);
  p.fetched({10, 20}, 0);
  CHECK(p.here({10, 20}));
  CHECK(p.first_missing({0, 100}) == Range{0, 10});
  p.end_fetched_flush(before, Presence::Result::durable);
  CHECK(p.owed_bytes() == 100);
  auto flush = p.begin_fetched_flush();
  CHECK_FALSE(flush.empty);
  p.end_fetched_flush(flush, Presence::Result::unconfirmed);
  CHECK(p.owed_bytes() == 100);
  flush = p.begin_fetched_flush();
  p.end_fetched_flush(flush, Presence::Result::durable);
  CHECK(p.durable().owed.ranges() == std::vector<Range>{{0, 10}, {30, 70}});
  CHECK(p.is_durable({10, 20}, p.changes()));
  CHECK_FALSE(p.is_durable({10, 20}, p.changes() - 1));
  CHECK_FALSE(p.is_durable({9, 1}, p.changes()));
}

TEST_CASE("what a failed flush lost is missing again, but for what clients have written") {
  Presence p(all(100));
  auto scope = p.open();
  p.fetched({0, 50}, 0);
  p.written({10, 10}, scope);
  auto flush = p.begin_fetched_flush();
  p.end_fetched_flush(flush, Presence::Result::lost);
  CHECK(p.losses() == 1);
  CHECK(p.missing({0, 50}) == std::vector<Range>{{0, 10}, {20, 30}});
  CHECK(p.here({10, 10}));
}

TEST_CASE(
    "a client's flush that fails may have lost what was fetched, also what another flush covers") {
  Presence p(all(100));
  auto scope = p.open();
  p.fetched({0, 20}, 0);
  auto under_way = p.begin_fetched_flush();
  p.fetched({20, 20}, 0);
  p.written({10, 5}, scope);
  flush(p, scope, false);
  CHECK(p.failed_flushes() == 1);
  CHECK(p.losses() == 1);
  CHECK(p.missing({0, 50}) == std::vector<Range>{{0, 10}, {15, 35}});
  p.end_fetched_flush(under_way, Presence::Result::durable);
  CHECK(p.owed_bytes() == 100);
  // A fetch that wrote before the failure, and says so after it.
  p.fetched({0, 10}, 0);
  CHECK_FALSE(p.here({0, 10}));
  p.fetched({0, 10}, 1);
  CHECK(p.here({0, 10}));
}

TEST_CASE("what was fetched since the begin of a flush that fails is lost with it") {
  Presence p(all(100));
  p.fetched({0, 10}, 0);
  const auto flush = p.begin_fetched_flush();
  p.fetched({10, 10}, 0);
  p.end_fetched_flush(flush, Presence::Result::lost);
  CHECK(p.missing_bytes() == 100);
}

// The local disk has told of the loss the flush that began first: the others succeed.
TEST_CASE(
    "a flush that succeeds makes nothing durable before those that began earlier have ended") {
  Presence p(all(100));
  auto one = p.open(), other = p.open();
  p.fetched({0, 10}, 0);
  p.written({10, 10}, other);
  const auto failing = p.begin_flush(one);
  const auto background = p.begin_fetched_flush();
  const auto clients = p.begin_flush(other);
  std::jthread failure([&] { p.end_flush(one, failing, false); });
  std::jthread success([&] { p.end_flush(other, clients, true); });
  p.fetched_flush_succeeded(background);
  CHECK(p.failed_flushes() == 1);
  p.end_fetched_flush(background, Presence::Result::durable);
  success.join();
  CHECK(p.owed_bytes() == 100);
  CHECK(p.missing({0, 20}) == std::vector<Range>{{0, 10}});
  failure.join();
  p.close(other);
  p.close(one);
}

TEST_CASE("a request with FUA that fails is a flush that has failed") {
  Presence p(all(100));
  p.fetched({0, 10}, 0);
  CHECK(p.end_sync(p.begin_sync(), true));
  CHECK(p.here({0, 10}));
  CHECK_FALSE(p.end_sync(p.begin_sync(), false));
  CHECK(p.failed_flushes() == 1);
  CHECK(p.missing_bytes() == 100);
  CHECK(p.end_sync(p.begin_sync(), true));
}

TEST_CASE("what a client has written is owed until its own flush has succeeded") {
  Presence p(all(100));
  auto one = p.open(), other = p.open();
  p.written({0, 10}, one);
  CHECK(p.here({0, 10}));
  flush(p, other);
  CHECK(p.owed_bytes() == 100);
  flush(p, one, false);
  CHECK(p.owed_bytes() == 100);
  flush(p, one);
  CHECK(p.owed_bytes() == 90);
  // What is not owed does not become owed by a write.
  p.written({0, 10}, one);
  CHECK(p.owed_bytes() == 90);
  p.close(other);
  p.close(one);
}

TEST_CASE("one thread at a time fetches a byte") {
  Presence p(all(100));
  CHECK(p.try_begin({0, 50}));
  CHECK_FALSE(p.try_begin({49, 10}));
  CHECK(p.try_begin({50, 10}));
  CHECK(p.is_fetched_now({40, 10}));
  p.end({0, 50});
  CHECK_FALSE(p.is_fetched_now({40, 10}));
  CHECK(p.try_begin({0, 50}));
}

TEST_CASE("it is told when the last byte has come, fetched or written, and again after a loss") {
  Presence p(all(100));
  int told = 0;
  p.when_all_is_here([&] { ++told; });
  const auto scope = p.open();
  p.fetched({0, 50}, 0);
  p.written({60, 40}, scope);
  CHECK(told == 0);
  p.fetched({50, 10}, 0);
  CHECK(told == 1);
  p.written({0, 10}, scope);
  CHECK(told == 1);
  p.end_fetched_flush(p.begin_fetched_flush(), Presence::Result::lost);
  p.written({0, 60}, scope);
  CHECK(told == 2);
  p.when_all_is_here(nullptr);
  p.close(scope);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <array>

#include "filters/coalesce/cache/chunk_cache.hpp"

using namespace coalesce;
using extents::Range;

namespace {

constexpr uint64_t M = 1u << 20;

// A stream that is sequential, and a cache of 16 MiB.
struct Setup {
  StreamTable streams{2 * M};
  MemoryBudget budget{16 * M};
  Counters counters;
  ChunkCache cache{64 * M, budget, counters, streams};
  Stream *stream = nullptr;

  Setup() {
    for (uint64_t at : {0, 1}) {
      stream = streams.observe({at, 1}, false, [](auto, auto) { return uint64_t{0}; });
    }
  }
  ChunkPtr add(uint64_t at) {
    return cache.add(*stream, {at, M}, std::array{extents::Extent{at, M, extents::data}});
  }
};

}  // namespace

TEST_CASE("an export has no more chunks than its share of the memory") {
  Setup s;
  s.cache.set_share(2 * M);
  auto first = s.add(0), second = s.add(M);
  CHECK(first);
  CHECK(second);
  CHECK_FALSE(s.add(2 * M));
  // What was read gives room.
  s.cache.finish(first, true);
  CHECK(s.cache.mark_read(first, {0, M}));
  auto third = s.add(2 * M);
  CHECK(third);
  CHECK(s.stream->cached == 2 * M);
  // A smaller share: what is ready goes, what is in flight stays.
  s.cache.finish(second, true);
  s.cache.set_share(M);
  CHECK(s.cache.state(*third) == Chunk::State::in_flight);
  CHECK_FALSE(s.cache.split({M, M}).front().chunk);
  CHECK(s.cache.split({2 * M, M}).front().chunk == third);
  CHECK(s.counters.wasted_bytes == M);
}

TEST_CASE("chunks of a stale stream make room for those of another") {
  Setup s;
  s.cache.set_share(2 * M);
  for (uint64_t at : {uint64_t{0}, M}) s.cache.finish(s.add(at), true);
  Stream *other = nullptr;
  auto read_on = [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; ++i) {
      other = s.streams.observe({32 * M + i, 1}, false, [](auto, auto) { return ~uint64_t{0}; });
    }
    return s.cache.add(*other, {40 * M, M}, std::array{extents::Extent{40 * M, M, extents::data}});
  };
  CHECK_FALSE(read_on(0, 100));
  CHECK(read_on(100, 300));
  CHECK(s.counters.wasted_bytes == M);  // no more than is needed
}

TEST_CASE("a chunk is gone after a write to it, whether it is ready or in flight") {
  Setup s;
  auto ready = s.add(0), in_flight = s.add(M), other = s.add(2 * M);
  CHECK(s.cache.finish(ready, true));
  s.cache.invalidate({M - 1, 2});
  CHECK(s.cache.split({0, 2 * M}).size() == 1);
  CHECK(s.cache.state(*in_flight) == Chunk::State::gone);
  CHECK_FALSE(s.cache.finish(in_flight, true));  // too late
  CHECK(s.cache.state(*in_flight) == Chunk::State::gone);
  CHECK(s.cache.split({2 * M, 1}).front().chunk == other);
  CHECK(s.stream->cached == M);
}

TEST_CASE("a chunk whose fetch has failed is gone") {
  Setup s;
  auto chunk = s.add(0);
  CHECK(s.cache.finish(chunk, false));
  CHECK(s.cache.state(*chunk) == Chunk::State::gone);
  CHECK(s.cache.empty());
  CHECK(s.stream->cached == 0);
}

TEST_CASE("chunks that their stream has passed by more than the slack are dropped") {
  Setup s;
  auto passed = s.add(0), near = s.add(M), in_flight = s.add(2 * M);
  s.cache.finish(passed, true);
  s.cache.finish(near, true);
  s.stream->head = 3 * M;
  s.cache.drop_passed(*s.stream);
  CHECK_FALSE(s.cache.split({0, 1}).front().chunk);
  CHECK(s.cache.split({M, 1}).front().chunk == near);
  s.stream->head = 10 * M;
  s.cache.drop_passed(*s.stream);
  CHECK_FALSE(s.cache.split({M, 1}).front().chunk);
  CHECK(s.cache.split({2 * M, 1}).front().chunk == in_flight);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "tests/unit/coalesce/engine_fixture.hpp"
#include "tests/unit/rounds.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace coalesce;
using namespace std::chrono_literals;
using extents::Range;

TEST_CASE("small reads in order become few large ones, each byte fetched once") {
  EngineFixture fixture(16 * M);
  fixture.disk.gather = 3;
  fixture.disk.alone = 2;  // until the stream is recognised
  CHECK(fixture.reads_all_correctly({0, 16 * M}, 64 * K));
  CHECK(fixture.disk.read_bytes == 16 * M);
  CHECK(fixture.disk.reads <= 32);
  CHECK(fixture.disk.longest <= M);
  CHECK(fixture.disk.most_at_once >= 3);
  // The worker that has fetched the last chunk may still hold it.
  CHECK(testing::others_wait());
  CHECK(fixture.budget.used() == 0);
}

TEST_CASE("without workers a request fetches the chunk that it needs") {
  EngineFixture fixture(16 * M, 0us, {.gap = 256 * K, .chunk = M, .workers = 0});
  CHECK(fixture.reads_all_correctly({0, 16 * M}, 64 * K));
  CHECK(fixture.disk.read_bytes == 16 * M);
  CHECK(fixture.disk.reads <= 32);
  CHECK(fixture.disk.most_at_once == 1);
}

TEST_CASE("holes are skipped, short gaps are read with the data, and a hole can be read") {
  EngineFixture fixture(16 * M);
  // Islands of 64 KiB: 128 KiB apart in the first half, 1 MiB apart in the second.
  fixture.disk.map.set({0, 16 * M}, extents::hole);
  std::vector<uint64_t> islands;
  for (uint64_t at = 0; at < 8 * M; at += 192 * K) islands.push_back(at);
  for (uint64_t at = 8 * M + 512 * K; at < 16 * M; at += M) islands.push_back(at);
  for (uint64_t at : islands) fixture.disk.map.set({at, 64 * K}, extents::data);
  fixture.engine->extents(fixture.connection, {0, 16 * M});
  for (uint64_t at : islands) CHECK(fixture.reads_correctly(at, 64 * K));
  CHECK(fixture.disk.read_bytes <= 8 * M + 8 * 64 * K);
  CHECK(fixture.disk.reads <= 8 * 2 + 8 + 4);
  CHECK(fixture.reads_correctly(15 * M, 64 * K));
}

TEST_CASE("chunks are aligned to the requests of a client that reads whole blocks") {
  EngineFixture fixture(64 * M);
  fixture.disk.gather = 2;
  fixture.disk.alone = 2;
  fixture.disk.map.set({0, 64 * M}, extents::hole);
  for (uint64_t i = 0; i < 32; ++i) {
    fixture.disk.map.set({i * 2 * M + 900 * K, 8 * K}, extents::data);
  }
  fixture.engine->extents(fixture.connection, {0, 64 * M});
  for (uint64_t i = 0; i < 32; ++i) CHECK(fixture.reads_correctly(i * 2 * M + 768 * K, 256 * K));
  CHECK(fixture.disk.reads <=
        34);  // one each, except for what was planned before the alignment was known
  CHECK(fixture.disk.most_at_once >= 2);
}

TEST_CASE("nothing is read ahead from a fast layer") {
  FakeDisk disk(16 * M, 0us);
  FakeConnection connection(disk);
  MemoryBudget budget(16 * M);
  Counters counters;
  Engine engine({.size = 16 * M, .chunk = M, .workers = 3, .fast_read = 10s}, budget, counters,
                util::Log());
  engine.attach(connection);
  std::vector<std::byte> buffer(64 * K);
  for (uint64_t at = 0; at < 16 * M; at += 64 * K) engine.read(connection, buffer, at);
  engine.detach(connection);
  CHECK(disk.reads == 256);
  CHECK(disk.queries == 0);
}

TEST_CASE("nothing is read ahead without extents, and nothing fails") {
  EngineFixture fixture(4 * M, 0us);
  fixture.disk.extents_fail = true;
  CHECK(fixture.reads_all_correctly({0, 4 * M}, 64 * K));
  CHECK(fixture.disk.read_bytes == 4 * M);
}

TEST_CASE("what could not be read ahead is not tried again ahead of the client") {
  for (unsigned workers : {0u, 2u}) {
    EngineFixture fixture(4 * M, 0us, {.gap = 0, .chunk = M, .workers = workers});
    fixture.disk.bad.add({2 * M - 1000, 1});  // so that each read before it could claim the chunk
    unsigned failed = 0, right = 0;
    for (uint64_t at = 0; at < 4 * M; at += 64 * K) {
      try {
        right += fixture.reads_correctly(at, 64 * K) ? 1 : 0;
      } catch (const std::runtime_error &) {
        ++failed;
      }
    }
    CHECK(failed == 1);
    CHECK(right == 63);
    auto chunks =
        std::count_if(fixture.disk.list.begin(), fixture.disk.list.end(), [](const Range &r) {
          return r.length > 64 * K && !extents::intersect(r, {2 * M - 1000, 1}).empty();
        });
    CHECK(chunks <= 1);
  }
}

TEST_CASE("chunks of an abandoned stream make room for the next") {
  EngineFixture fixture(64 * M, 100us, {.gap = 0, .chunk = M, .workers = 2}, 4 * M);
  CHECK(fixture.reads_all_correctly({0, 2 * M}, 64 * K));
  CHECK(fixture.reads_all_correctly({16 * M, 48 * M}, 64 * K));
  fixture.disk.reset_counters();
  CHECK(fixture.reads_all_correctly({8 * M, 8 * M}, 64 * K));
  CHECK(fixture.disk.reads < 64);
}

TEST_CASE("memory stays below the limit, and reads continue without it") {
  constexpr uint64_t part = testing::sanitized ? M : 4 * M;  // that one thread reads
  for (uint64_t memory : {2 * M, 4 * M, 64 * K}) {
    EngineFixture fixture(8 * part, 200us, {.gap = 0, .chunk = M, .workers = 8}, memory);
    std::atomic<bool> good = true, stop = false;
    std::atomic<uint64_t> most = 0;
    std::jthread watch([&] {
      while (!stop) most = std::max<uint64_t>(most, fixture.budget.used());
    });
    {
      std::vector<std::jthread> threads;
      for (uint64_t i = 0; i < 8; ++i) {
        threads.emplace_back([&, i] {
          if (!fixture.reads_all_correctly({i * part, part}, 64 * K)) good = false;
        });
      }
    }
    stop = true;
    CHECK(good);
    CHECK(most <= memory);
  }
}

TEST_CASE("ranges with priority are read before any request, without their holes") {
  std::vector<Range> first{{8 * M, 2 * M + 1000}, {0, M}, {100 * M, 5}};
  EngineFixture fixture(16 * M, 1ms, {.gap = 0, .chunk = M, .workers = 2, .priority = first},
                        16 * M, {9 * M, M});
  REQUIRE(fixture.disk.wait_for_reads(3));
  // Random reads, which otherwise go straight to the layer below.
  for (uint64_t at : {8 * M + 5 * K, uint64_t{5}, 10 * M, M - 10})
    CHECK(fixture.reads_correctly(at, 10));
  CHECK(fixture.counters.hits + fixture.counters.waits == 4);
  auto reads = fixture.disk.list;
  std::sort(reads.begin(), reads.end(), [](auto a, auto b) { return a.offset < b.offset; });
  CHECK(reads == std::vector<Range>{{0, M}, {8 * M, M}, {10 * M, 1000}});
}

TEST_CASE("ranges with priority are ignored without workers") {
  EngineFixture fixture(16 * M, 0us, {.chunk = M, .workers = 0, .priority = {{8 * M, M}}});
  CHECK(fixture.reads_all_correctly({0, 16 * M}, 64 * K));
}

TEST_CASE("a client that returns to the end of a chunk makes no chunk that overlaps the next") {
  EngineFixture fixture(8 * M, 0us, {.gap = 0, .chunk = 256 * K, .workers = 0});
  // The last one crosses the end of the first chunk, most of which was never read, and ends where a
  // part of the second is held.
  for (uint64_t at : {0, 4, 248, 252, 258, 254}) REQUIRE(fixture.reads_correctly(at * K, 4 * K));
  fixture.disk.write(260 * K, 4 * K, std::byte(1));
  fixture.engine->invalidate({260 * K, 4 * K});
  CHECK(fixture.reads_correctly(260 * K, 4 * K));
}

namespace {

// The state of the read-ahead over a layer of which no read takes longer than its limit.
struct FastLayer {
  explicit FastLayer(Settings s = {.size = 64 * M, .gap = 256 * K, .chunk = M, .workers = 4},
                     uint64_t memory = 16 * M)
      : settings(std::move(s)), budget(memory), read_ahead(settings, budget, counters) {}

  void reads(int count, std::chrono::nanoseconds took) {
    util::MutexLock lock(read_ahead.mutex);
    for (int i = 0; i < count; ++i) read_ahead.direct_read_done(took, true);
  }

  const Settings settings;
  MemoryBudget budget;
  Counters counters;
  ReadAhead read_ahead;
};

}  // namespace

TEST_CASE("reads pass by where the layer below answers at once, until it is slow") {
  FastLayer layer;
  layer.reads(7, 10us);
  CHECK_FALSE(layer.read_ahead.aside.on());
  layer.reads(1, 10us);
  CHECK(layer.read_ahead.aside.on());

  for (int i = 0; i < 4; ++i) layer.read_ahead.passed_by(5ms);
  CHECK_FALSE(layer.read_ahead.aside.on());
  // What was fast before does not count: three slow reads are enough, as at the start.
  layer.reads(3, 5ms);
  util::MutexLock lock(layer.read_ahead.mutex);
  layer.read_ahead.observe({0, 64 * K});
  CHECK(layer.read_ahead.observe({64 * K, 64 * K}) != nullptr);
}

TEST_CASE("streams from before reads passed by are not read ahead") {
  FastLayer layer;
  {
    util::MutexLock lock(layer.read_ahead.mutex);
    layer.read_ahead.extents().learn(0, {{0, 64 * M, extents::data}});
    for (uint64_t at = 0; at < M; at += 64 * K) layer.read_ahead.observe({at, 64 * K});
  }
  layer.reads(8, 10us);
  for (int i = 0; i < 4; ++i) layer.read_ahead.passed_by(5ms);
  layer.reads(3, 5ms);
  util::MutexLock lock(layer.read_ahead.mutex);
  CHECK_FALSE(layer.read_ahead.next_job());
}

TEST_CASE("no read passes by a chunk, or where ranges have priority") {
  FastLayer layer;
  layer.reads(3, 5ms);
  ChunkPtr chunk;
  {
    util::MutexLock lock(layer.read_ahead.mutex);
    layer.read_ahead.extents().learn(0, {{0, 64 * M, extents::data}});
    layer.read_ahead.observe({0, 64 * K});
    Stream *stream = layer.read_ahead.observe({64 * K, 64 * K});
    REQUIRE(stream != nullptr);
    chunk = layer.read_ahead.claim(*stream, {64 * K, 64 * K});
    REQUIRE(chunk);
  }
  layer.reads(8, 10us);
  CHECK_FALSE(layer.read_ahead.aside.on());
  {
    util::MutexLock lock(layer.read_ahead.mutex);
    layer.read_ahead.fetch_done(chunk, false, 1ms);
  }
  layer.reads(1, 10us);
  CHECK(layer.read_ahead.aside.on());

  FastLayer important({.size = 64 * M, .chunk = M, .workers = 4, .priority = {{32 * M, M}}});
  important.reads(8, 10us);
  CHECK_FALSE(important.read_ahead.aside.on());
}

TEST_CASE(
    "while the window grows, what it has room for is fetched at once, not a whole piece later") {
  FastLayer layer({.size = 64 * M, .gap = M, .chunk = 4 * M, .workers = 4}, 11 * M);
  layer.reads(2, 5ms);
  util::MutexLock lock(layer.read_ahead.mutex);
  layer.read_ahead.extents().learn(0, {{0, 64 * M, extents::data}});
  auto length = [&](const std::optional<FetchJob> &job)
                    ABSL_EXCLUSIVE_LOCKS_REQUIRED(layer.read_ahead.mutex) {
                      return job && job->chunk ? job->chunk->range.length : 0;
                    };
  layer.read_ahead.observe({0, 64 * K});
  layer.read_ahead.observe({64 * K, 64 * K});
  const auto first = layer.read_ahead.next_job();
  CHECK(length(first) == M);
  CHECK_FALSE(layer.read_ahead.next_job());
  layer.read_ahead.observe({128 * K, 64 * K});
  const auto second = layer.read_ahead.next_job();
  CHECK(length(second) == 512 * K);
  CHECK_FALSE(layer.read_ahead.next_job());

  // Once it has grown, whole pieces are, although there is room for a part of another.
  for (uint64_t at = 192 * K; at < 4 * M; at += 64 * K) layer.read_ahead.observe({at, 64 * K});
  std::vector<FetchJob> jobs;
  while (auto job = layer.read_ahead.next_job()) jobs.push_back(*job);
  REQUIRE(jobs.size() == 2);
  CHECK(length(jobs[1]) == 4 * M);
}

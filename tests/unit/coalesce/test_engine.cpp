// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/coalesce/engine_fixture.hpp"
#include "tests/unit/rounds.hpp"

using namespace coalesce;
using namespace std::chrono_literals;
using extents::Range;

TEST_CASE("reads of a chunk and more go straight to the layer below") {
  EngineFixture fixture;
  CHECK(fixture.reads_all_correctly({0, 16 * M}, M));
  CHECK(fixture.disk.reads == 16);
  CHECK(fixture.disk.queries == 0);
}

TEST_CASE("random reads cause no other reads than without the engine") {
  EngineFixture fixture(64 * M, 0us);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    // Never one after the other.
    REQUIRE(fixture.reads_correctly((random() % 8000) * 8 * K, 4 * K));
  }
  CHECK(fixture.disk.reads == 2000);
  CHECK(fixture.disk.read_bytes == 2000 * 4 * K);
}

TEST_CASE("several clients read a range each, out of order and at the same time") {
  EngineFixture fixture(64 * M, 500us);
  // No request is read by itself while others ask for the extents.
  fixture.engine->extents(fixture.connection, {0, 64 * M});
  std::atomic<bool> good = true;
  std::vector<std::jthread> threads;
  for (uint64_t client = 0; client < 4; ++client) {
    auto next = std::make_shared<std::atomic<uint64_t>>(client * 16 * M);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, next, client] {
        for (uint64_t at; (at = next->fetch_add(64 * K)) < (client + 1) * 16 * M;) {
          if (!fixture.reads_correctly(at, 64 * K)) good = false;
        }
      });
    }
  }
  threads.clear();
  CHECK(good);
  CHECK(fixture.disk.reads < 64 * M / (64 * K) / 4);
  // What a client that the others have left behind has not read in time is read again.
  CHECK(fixture.disk.read_bytes - fixture.counters.wasted_bytes <= 64 * M + 8 * M);
}

TEST_CASE("two clients that read the same bytes share one fetch") {
  EngineFixture fixture(16 * M, 5ms);
  std::atomic<bool> good = true;
  // In step, as two clients that copy the same disk at the same time can be at best.
  for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
    std::jthread other([&] {
      if (!fixture.reads_correctly(at, 64 * K)) good = false;
    });
    if (!fixture.reads_correctly(at, 64 * K)) good = false;
  }
  CHECK(good);
  CHECK(fixture.disk.read_bytes < 20 * M);
}

TEST_CASE("random concurrent readers get the right bytes") {
  for (unsigned workers : {0u, 1u, 4u}) {
    EngineFixture fixture(16 * M, 50us, {.gap = 64 * K, .chunk = 512 * K, .workers = workers},
                          3 * M);
    std::mt19937 random(workers);
    for (int i = 0; i < 100; ++i) {
      fixture.disk.map.set({random() % (16 * M), random() % (256 * K)}, random() % 4);
    }
    std::atomic<bool> good = true;
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < 6; ++i) {
        threads.emplace_back([&, i] {
          std::mt19937_64 mine(i);
          for (unsigned run = 0; run < testing::rounds(30); ++run) {
            uint64_t at = mine() % (15 * M), step = 1 + mine() % (64 * K);
            for (uint64_t n = mine() % 20; n > 0 && at + step <= 16 * M; --n, at += step) {
              if (!fixture.reads_correctly(at, step)) good = false;
            }
          }
        });
      }
    }
    CHECK(good);
    CHECK(fixture.budget.used() <= 3 * M);
  }
}

TEST_CASE("an error reaches the requests for the bad bytes and no others") {
  for (unsigned workers : {0u, 4u}) {
    EngineFixture fixture(16 * M, 200us, {.gap = 0, .chunk = M, .workers = workers});
    fixture.disk.bad.add({5 * M + 100 * K, 1});
    for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
      if (at == 5 * M + 64 * K) {
        CHECK_THROWS_WITH(fixture.reads_correctly(at, 64 * K), "bad sector");
      } else {
        CHECK(fixture.reads_correctly(at, 64 * K));
      }
    }
    // It heals: the next read is right.
    fixture.disk.bad.subtract({0, 16 * M});
    CHECK(fixture.reads_correctly(5 * M + 64 * K, 64 * K));
  }
}

// A reader waits for the chunk that another one fetches, and that comes to nothing.
TEST_CASE("a chunk whose fetch fails, or that a write overtakes, is not copied from") {
  for (bool write : {false, true}) {
    EngineFixture fixture(4 * M, 0us, {.gap = 0, .chunk = M, .workers = 0});
    Gate gate;
    fixture.disk.before_read = [&](Range range) {
      if (range.length > 64 * K) gate.pass();  // the chunk
    };
    REQUIRE(fixture.reads_correctly(0, 64 * K));
    std::atomic<int> right = 0;
    auto reader = [&](uint64_t at) {
      return std::jthread([&, at] { right += fixture.reads_correctly(at, 64 * K) ? 1 : 0; });
    };
    auto first = reader(64 * K);
    gate.wait_until_held();
    durability::SyncPoint::Hold hold("coalesce.copy");
    auto second = reader(128 * K);
    hold.wait();  // it has found the chunk
    if (write) {
      fixture.disk.write(128 * K, 4 * K, std::byte{1});
      fixture.engine->invalidate({128 * K, 4 * K});
      hold.release();
      second.join();
      gate.open();
    } else {
      fixture.disk.bad.add({M - 1, 1});  // of no request
      gate.open();
      first.join();
      hold.release();
    }
    first = {};
    second = {};
    CHECK(right == 2);
  }
}

TEST_CASE("a reader waits for a chunk that is being fetched") {
  EngineFixture fixture(4 * M, 0us, {.gap = 0, .chunk = M, .workers = 0});
  Gate gate;
  fixture.disk.before_read = [&](Range range) {
    if (range.length > 64 * K) gate.pass();  // the chunk
  };
  REQUIRE(fixture.reads_correctly(0, 64 * K));
  std::atomic<int> right = 0;
  auto reader = [&](uint64_t at) {
    return std::jthread([&, at] { right += fixture.reads_correctly(at, 64 * K) ? 1 : 0; });
  };
  auto first = reader(64 * K);
  gate.wait_until_held();
  durability::SyncPoint::Hold waits("coalesce.copy_waits");
  std::atomic<bool> done = false;
  std::jthread second([&] {
    right += fixture.reads_correctly(128 * K, 64 * K) ? 1 : 0;
    done = true;
  });
  while (!waits.reached() && !done) std::this_thread::yield();
  waits.release();
  gate.open();
  first = {};
  second = {};
  CHECK(right == 2);
  CHECK(fixture.counters.waits == 1);
  CHECK(fixture.disk.reads == 2);
}

TEST_CASE("a write is seen by every read that begins after it") {
  for (unsigned workers : {0u, 4u}) {
    EngineFixture fixture(8 * M, 300us, {.gap = 0, .chunk = M, .workers = workers});
    std::atomic<bool> stop = false;
    // Readers that keep chunks in flight all the time; what they get is judged by the writer.
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back([&] {
        std::vector<std::byte> buffer(64 * K);
        while (!stop) {
          for (uint64_t at = 0; at < 8 * M && !stop; at += 64 * K) {
            fixture.engine->read(fixture.connection, buffer, at);
          }
        }
      });
    }
    std::mt19937 random(1);
    bool good = true;
    for (unsigned i = 1; i < testing::rounds(300); ++i) {
      Range range{(random() % 127) * 64 * K + random() % 1000, 1 + random() % (64 * K)};
      fixture.disk.write(range.offset, range.length, std::byte(i));
      fixture.engine->invalidate(range);
      std::vector<std::byte> buffer(range.length);
      fixture.engine->read(fixture.connection, buffer, range.offset);
      good = good && testing::equal(buffer, std::vector(range.length, std::byte(i)));
    }
    stop = true;
    readers.clear();
    CHECK(good);
  }
}

TEST_CASE("the counters tell what was requested, what was read, and what was gaps") {
  EngineFixture fixture(16 * M, 1ms, {.gap = 64 * K, .chunk = M, .workers = 2});
  for (uint64_t at = 0; at < 16 * M; at += 256 * K)
    fixture.disk.map.set({at, 64 * K}, extents::hole);
  for (uint64_t at = 0; at < 16 * M; at += 256 * K) {
    for (int i = 1; i < 4; ++i) REQUIRE(fixture.reads_correctly(at + i * 64 * K, 64 * K));
  }
  const Counters &c = fixture.counters;
  CHECK(c.requests == 192);
  CHECK(c.bytes == 12 * M);
  CHECK(c.streams == 1);
  CHECK(c.plugin_requests == fixture.disk.reads);
  CHECK(c.plugin_bytes == fixture.disk.read_bytes);
  CHECK(c.wasted_bytes == 0);
  // Each byte was read once: what is more than data are gaps.
  CHECK(c.plugin_bytes == 12 * M + c.gap_bytes);
  CHECK(c.hits + c.waits > 150);
  CHECK(c.hits + c.waits <= c.requests);
}

TEST_CASE("reads that pass by are right, see writes, are counted, and report errors") {
  // However busy the machine is, no read is slow.
  EngineFixture fixture(16 * M, 0us, {.gap = 256 * K, .chunk = M, .workers = 4}, 16 * M, {}, 1h);
  CHECK(fixture.reads_all_correctly({0, 16 * M}, 64 * K));
  CHECK(fixture.counters.requests == 256);
  CHECK(fixture.counters.bytes == 16 * M);
  CHECK(fixture.counters.plugin_requests == 256);
  CHECK(fixture.counters.plugin_bytes == 16 * M);
  CHECK(fixture.counters.hits == 0);
  fixture.disk.write(8 * M, M, std::byte{7});
  fixture.engine->invalidate({8 * M, M});
  CHECK(fixture.reads_all_correctly({8 * M, M}, 64 * K));
  fixture.disk.bad.add({4 * M, 512});
  std::vector<std::byte> buffer(64 * K);
  CHECK_THROWS(fixture.engine->read(fixture.connection, buffer, 4 * M));
  CHECK(fixture.reads_correctly(5 * M, 64 * K));
}

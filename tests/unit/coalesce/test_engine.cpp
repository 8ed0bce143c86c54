// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <atomic>
#include <random>

#include "filters/coalesce/engine.hpp"
#include "filters/coalesce/shared_engines.hpp"
#include "tests/unit/coalesce/fake_source.hpp"

using namespace coalesce;
using namespace std::chrono_literals;
using extents::Extent, extents::Range;

namespace {

constexpr uint64_t K = 1024, M = K * K;

// A source, an engine over it and one connection. No read counts as fast.
struct Rig {
  explicit Rig(uint64_t size = 16 * M, std::chrono::microseconds delay = 1ms,
               Settings s = {.gap = 256 * K, .chunk = M, .workers = 4}, uint64_t memory = 16 * M,
               extents::Range hole = {})
      : source(size, delay), reader(source), budget(memory) {
    source.map.set(hole, extents::hole);
    s.size = size;
    s.fast = 0us;
    engine = std::make_unique<Engine>(s, budget, counters, util::Log());
    engine->attach(reader);
  }
  ~Rig() { engine->detach(reader); }

  // Reads and compares with the source. What fails is not checked in a thread (Catch2 is not
  // thread-safe), so it is told.
  bool right(uint64_t offset, uint64_t length) {
    std::vector<std::byte> buffer(length);
    engine->read(reader, buffer, offset);
    return std::memcmp(buffer.data(), source.bytes.data() + offset, length) == 0;
  }
  bool all_right(Range range, uint64_t step) {
    bool good = true;
    for (uint64_t at = range.offset; at < range.end(); at += step) {
      good = right(at, std::min(step, range.end() - at)) && good;
    }
    return good;
  }

  FakeSource source;
  FakeReader reader;
  Budget budget;
  Counters counters;
  std::unique_ptr<Engine> engine;
};

}  // namespace

TEST_CASE("small reads in order become few large ones, each byte fetched once") {
  // Reads so slow that they overlap however busy the machine is.
  Rig rig(16 * M, 20ms);
  CHECK(rig.all_right({0, 16 * M}, 64 * K));
  CHECK(rig.source.read_bytes == 16 * M);
  CHECK(rig.source.reads <= 32);
  CHECK(rig.source.longest <= M);
  CHECK(rig.source.most_at_once >= 3);
  CHECK(rig.budget.used() == 0);
}

TEST_CASE("without workers a request fetches the chunk that it needs") {
  Rig rig(16 * M, 0us, {.gap = 256 * K, .chunk = M, .workers = 0});
  CHECK(rig.all_right({0, 16 * M}, 64 * K));
  CHECK(rig.source.read_bytes == 16 * M);
  CHECK(rig.source.reads <= 32);
  CHECK(rig.source.most_at_once == 1);
}

TEST_CASE("reads of a chunk and more go straight through") {
  Rig rig;
  CHECK(rig.all_right({0, 16 * M}, M));
  CHECK(rig.source.reads == 16);
  CHECK(rig.source.surveys == 0);
}

TEST_CASE("random reads cost what they cost without the engine") {
  Rig rig(64 * M, 0us);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    // Never one after the other.
    REQUIRE(rig.right((random() % 8000) * 8 * K, 4 * K));
  }
  CHECK(rig.source.reads == 2000);
  CHECK(rig.source.read_bytes == 2000 * 4 * K);
}

TEST_CASE("several clients, each with its range, out of order and at once") {
  Rig rig(64 * M, 500us);
  std::atomic<bool> good = true;
  std::vector<std::jthread> threads;
  for (uint64_t client = 0; client < 4; ++client) {
    auto next = std::make_shared<std::atomic<uint64_t>>(client * 16 * M);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, next, client] {
        for (uint64_t at; (at = next->fetch_add(64 * K)) < (client + 1) * 16 * M;) {
          if (!rig.right(at, 64 * K)) good = false;
        }
      });
    }
  }
  threads.clear();
  CHECK(good);
  CHECK(rig.source.reads < 64 * M / (64 * K) / 4);
  CHECK(rig.source.read_bytes <= 64 * M + 8 * M);
}

TEST_CASE("two readers of the same bytes share one fetch") {
  Rig rig(16 * M, 5ms);
  std::atomic<bool> good = true;
  // In step, as two clients that copy the same disk at the same time can be at best.
  for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
    std::jthread other([&] {
      if (!rig.right(at, 64 * K)) good = false;
    });
    if (!rig.right(at, 64 * K)) good = false;
  }
  CHECK(good);
  CHECK(rig.source.read_bytes < 20 * M);
}

TEST_CASE("holes are skipped, short gaps are read along, and reading a hole works") {
  Rig rig(16 * M);
  // Islands of 64 KiB: 128 KiB apart in the first half, 1 MiB apart in the second.
  rig.source.map.set({0, 16 * M}, extents::hole);
  std::vector<uint64_t> islands;
  for (uint64_t at = 0; at < 8 * M; at += 192 * K) islands.push_back(at);
  for (uint64_t at = 8 * M + 512 * K; at < 16 * M; at += M) islands.push_back(at);
  for (uint64_t at : islands) rig.source.map.set({at, 64 * K}, extents::data);
  rig.engine->extents(rig.reader, {0, 16 * M});
  for (uint64_t at : islands) CHECK(rig.right(at, 64 * K));
  CHECK(rig.source.read_bytes <= 8 * M + 8 * 64 * K);
  CHECK(rig.source.reads <= 8 * 2 + 8 + 4);
  CHECK(rig.right(15 * M, 64 * K));
}

TEST_CASE("a client that reads whole steps gets whole steps") {
  Rig rig(64 * M);
  rig.source.map.set({0, 64 * M}, extents::hole);
  for (uint64_t i = 0; i < 32; ++i) {
    rig.source.map.set({i * 2 * M + 900 * K, 8 * K}, extents::data);
  }
  rig.engine->extents(rig.reader, {0, 64 * M});
  for (uint64_t i = 0; i < 32; ++i) CHECK(rig.right(i * 2 * M + 768 * K, 256 * K));
  CHECK(rig.source.reads <= 34);  // one each, but for what was planned before the step was known
  CHECK(rig.source.most_at_once >= 2);
}

TEST_CASE("extents are exact, and those known are not asked for again") {
  Rig rig;
  rig.source.map.set({M, M}, extents::hole);
  rig.source.map.set({3 * M, 2 * M}, extents::zero);
  auto list = rig.engine->extents(rig.reader, {512 * K, 8 * M});
  CHECK(list == rig.source.map.slice({512 * K, 8 * M}));
  CHECK(rig.engine->extents(rig.reader, {M, 3 * M}) == rig.source.map.slice({M, 3 * M}));
  CHECK(rig.source.surveys == 1);
  CHECK(rig.engine->extents(rig.reader, {8 * M, M}) == rig.source.map.slice({8 * M, M}));
  CHECK(rig.source.surveys == 2);
  // After a write the layer below is asked every time.
  rig.source.map.set({M, 64 * K}, extents::data);
  rig.engine->invalidate({M, 64 * K});
  CHECK(rig.engine->extents(rig.reader, {M, 3 * M}) == rig.source.map.slice({M, 3 * M}));
  CHECK(rig.engine->extents(rig.reader, {M, 3 * M}) == rig.source.map.slice({M, 3 * M}));
  CHECK(rig.source.surveys == 4);
}

TEST_CASE("memory stays below the limit, and reads go on without it") {
  for (uint64_t memory : {2 * M, 4 * M, 64 * K}) {
    Rig rig(32 * M, 200us, {.gap = 0, .chunk = M, .workers = 8}, memory);
    std::atomic<bool> good = true, stop = false;
    std::atomic<uint64_t> most = 0;
    std::jthread watch([&] {
      while (!stop) most = std::max<uint64_t>(most, rig.budget.used());
    });
    {
      std::vector<std::jthread> threads;
      for (uint64_t i = 0; i < 8; ++i) {
        threads.emplace_back([&, i] {
          if (!rig.all_right({i * 4 * M, 4 * M}, 64 * K)) good = false;
        });
      }
    }
    stop = true;
    CHECK(good);
    CHECK(most <= memory);
  }
}

TEST_CASE("what an abandoned stream has left makes room for the next") {
  Rig rig(64 * M, 100us, {.gap = 0, .chunk = M, .workers = 2}, 4 * M);
  CHECK(rig.all_right({0, 2 * M}, 64 * K));
  CHECK(rig.all_right({16 * M, 48 * M}, 64 * K));
  rig.source.forget_counts();
  CHECK(rig.all_right({8 * M, 8 * M}, 64 * K));
  CHECK(rig.source.reads < 64);
}

TEST_CASE("an error reaches those who read the bad bytes, and nobody else") {
  for (unsigned workers : {0u, 4u}) {
    Rig rig(16 * M, 200us, {.gap = 0, .chunk = M, .workers = workers});
    rig.source.bad.add({5 * M + 100 * K, 1});
    for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
      if (at == 5 * M + 64 * K) {
        CHECK_THROWS_WITH(rig.right(at, 64 * K), "bad sector");
      } else {
        CHECK(rig.right(at, 64 * K));
      }
    }
    // It heals: the next read is right.
    rig.source.bad.subtract({0, 16 * M});
    CHECK(rig.right(5 * M + 64 * K, 64 * K));
  }
}

TEST_CASE("without extents nothing is read ahead, and nothing fails") {
  Rig rig(4 * M, 0us);
  rig.source.extents_fail = true;
  CHECK(rig.all_right({0, 4 * M}, 64 * K));
  CHECK(rig.source.read_bytes == 4 * M);
}

TEST_CASE("a write is seen by every read that begins after it") {
  for (unsigned workers : {0u, 4u}) {
    Rig rig(8 * M, 300us, {.gap = 0, .chunk = M, .workers = workers});
    std::atomic<bool> stop = false;
    // Readers that keep chunks in flight all the time; what they get is judged by the writer.
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back([&] {
        std::vector<std::byte> buffer(64 * K);
        while (!stop) {
          for (uint64_t at = 0; at < 8 * M && !stop; at += 64 * K) {
            rig.engine->read(rig.reader, buffer, at);
          }
        }
      });
    }
    std::mt19937 random(1);
    bool good = true;
    for (int i = 1; i < 300; ++i) {
      Range range{(random() % 127) * 64 * K + random() % 1000, 1 + random() % (64 * K)};
      rig.source.write(range.offset, range.length, std::byte(i));
      rig.engine->invalidate(range);
      std::vector<std::byte> buffer(range.length);
      rig.engine->read(rig.reader, buffer, range.offset);
      for (std::byte b : buffer) good = good && b == std::byte(i);
    }
    stop = true;
    readers.clear();
    CHECK(good);
  }
}

TEST_CASE("a reader that comes back to the end of a chunk makes none that overlaps the next") {
  Rig rig(8 * M, 0us, {.gap = 0, .chunk = 256 * K, .workers = 0});
  // The last one crosses the end of the first chunk, most of which was never read, and ends where a
  // part of the second is held.
  for (uint64_t at : {0, 4, 248, 252, 258, 254}) REQUIRE(rig.right(at * K, 4 * K));
  rig.source.write(260 * K, 4 * K, std::byte(1));
  rig.engine->invalidate({260 * K, 4 * K});
  CHECK(rig.right(260 * K, 4 * K));
}

TEST_CASE("a connection can leave while the workers read through it") {
  Rig rig(16 * M, 2ms);
  for (int round = 0; round < 10; ++round) {
    auto reader = std::make_unique<FakeReader>(rig.source);
    rig.engine->attach(*reader);
    std::vector<std::byte> buffer(64 * K);
    for (uint64_t at = 0; at < M; at += 64 * K) {
      rig.engine->read(*reader, buffer, uint64_t(round) * M + at);
    }
    auto begin = std::chrono::steady_clock::now();
    rig.engine->detach(*reader);
    CHECK(std::chrono::steady_clock::now() - begin < 1s);
    reader.reset();  // a worker that still used it would be seen by the sanitizers
  }
}

TEST_CASE("workers with connections of their own; without them requests do it themselves") {
  for (bool possible : {true, false}) {
    FakeSource source(16 * M, 1ms);
    FakeReader reader(source);
    Budget budget(16 * M);
    Counters counters;
    std::atomic<int> made = 0;
    Engine engine({.size = 16 * M, .chunk = M, .workers = 3, .fast = 0us}, budget, counters,
                  util::Log(), [&]() -> std::unique_ptr<Reader> {
                    ++made;
                    if (!possible) throw 1;
                    return std::make_unique<FakeReader>(source);
                  });
    engine.attach(reader);
    std::vector<std::byte> buffer(64 * K), all;
    for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
      engine.read(reader, buffer, at);
      all.insert(all.end(), buffer.begin(), buffer.end());
    }
    engine.detach(reader);
    CHECK(all == source.bytes);
    CHECK(made == 3);
    CHECK(source.read_bytes == 16 * M);
    CHECK(source.reads < 40);
  }
}

TEST_CASE("a fast source is left alone") {
  FakeSource source(16 * M, 0us);
  FakeReader reader(source);
  Budget budget(16 * M);
  Counters counters;
  Engine engine({.size = 16 * M, .chunk = M, .workers = 3, .fast = 10s}, budget, counters,
                util::Log());
  engine.attach(reader);
  std::vector<std::byte> buffer(64 * K);
  for (uint64_t at = 0; at < 16 * M; at += 64 * K) engine.read(reader, buffer, at);
  engine.detach(reader);
  CHECK(source.reads == 256);
  CHECK(source.surveys == 0);
}

TEST_CASE("random concurrent readers get the right bytes") {
  for (unsigned workers : {0u, 1u, 4u}) {
    Rig rig(16 * M, 50us, {.gap = 64 * K, .chunk = 512 * K, .workers = workers}, 3 * M);
    std::mt19937 random(workers);
    for (int i = 0; i < 100; ++i) {
      rig.source.map.set({random() % (16 * M), random() % (256 * K)}, random() % 4);
    }
    std::atomic<bool> good = true;
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < 6; ++i) {
        threads.emplace_back([&, i] {
          std::mt19937_64 mine(i);
          for (int run = 0; run < 30; ++run) {
            uint64_t at = mine() % (15 * M), step = 1 + mine() % (64 * K);
            for (uint64_t n = mine() % 20; n > 0 && at + step <= 16 * M; --n, at += step) {
              if (!rig.right(at, step)) good = false;
            }
          }
        });
      }
    }
    CHECK(good);
    CHECK(rig.budget.used() <= 3 * M);
  }
}

TEST_CASE("what has priority is read before anybody asks for it, holes left out") {
  std::vector<Range> first{{8 * M, 2 * M + 1000}, {0, M}, {100 * M, 5}};
  Rig rig(16 * M, 1ms, {.gap = 0, .chunk = M, .workers = 2, .priority = first}, 16 * M, {9 * M, M});
  REQUIRE(rig.source.wait_for_reads(3));
  // Random reads, which otherwise all go straight through.
  for (uint64_t at : {8 * M + 5 * K, uint64_t{5}, 10 * M, M - 10}) CHECK(rig.right(at, 10));
  CHECK(rig.counters.hits + rig.counters.waits == 4);
  auto reads = rig.source.list;
  std::sort(reads.begin(), reads.end(), [](auto a, auto b) { return a.offset < b.offset; });
  CHECK(reads == std::vector<Range>{{0, M}, {8 * M, M}, {10 * M, 1000}});
}

TEST_CASE("what has priority is not read without workers, and does not hinder") {
  Rig rig(16 * M, 0us, {.chunk = M, .workers = 0, .priority = {{8 * M, M}}});
  CHECK(rig.all_right({0, 16 * M}, 64 * K));
}

TEST_CASE("who asks for one extent is told one, from what is known") {
  Rig rig;
  rig.source.map.set({M, M}, extents::hole);
  auto all = rig.engine->extents(rig.reader, {0, 16 * M}, true);
  CHECK(all.size() == 3);  // more than that was not known, and what was told is not thrown away
  CHECK(rig.engine->extents(rig.reader, {0, 16 * M}, true) ==
        std::vector<Extent>{{0, M, extents::data}});
  CHECK(rig.engine->extents(rig.reader, {M + 5, 16 * M - M - 5}, true) ==
        std::vector<Extent>{{M + 5, M - 5, extents::hole}});
  CHECK(rig.source.surveys == 1);
}

TEST_CASE("merged extents have no short gaps, and are told to the end of the range") {
  Rig rig(16 * M, 0us, {.gap = 64 * K, .chunk = M, .workers = 0});
  for (uint64_t at = 0; at < 8 * M; at += 128 * K) rig.source.map.set({at, 64 * K}, extents::hole);
  rig.source.map.set({8 * M, 4 * M}, extents::hole | extents::zero);
  auto exact = rig.engine->extents(rig.reader, {0, 16 * M});
  CHECK(exact.size() == 130);
  CHECK(rig.engine->merged_extents(rig.reader, {0, 16 * M}) ==
        std::vector<Extent>{{0, 64 * K, extents::hole},
                            {64 * K, 8 * M - 64 * K, extents::data},
                            {8 * M, 4 * M, extents::hole | extents::zero},
                            {12 * M, 4 * M, extents::data}});
}

TEST_CASE("counters tell what was asked, read, and read along") {
  Rig rig(16 * M, 1ms, {.gap = 64 * K, .chunk = M, .workers = 2});
  for (uint64_t at = 0; at < 16 * M; at += 256 * K) rig.source.map.set({at, 64 * K}, extents::hole);
  for (uint64_t at = 0; at < 16 * M; at += 256 * K) {
    for (int i = 1; i < 4; ++i) REQUIRE(rig.right(at + i * 64 * K, 64 * K));
  }
  const Counters &c = rig.counters;
  CHECK(c.requests == 192);
  CHECK(c.bytes == 12 * M);
  CHECK(c.streams == 1);
  CHECK(c.plugin_requests == rig.source.reads);
  CHECK(c.plugin_bytes == rig.source.read_bytes);
  CHECK(c.unread_bytes == 0);
  // Each byte was read once: what is more than data are gaps.
  CHECK(c.plugin_bytes == 12 * M + c.gap_bytes);
  CHECK(c.hits + c.waits > 150);
  CHECK(c.hits + c.waits <= c.requests);
}

TEST_CASE("connections that see the same disk share an engine, and the memory") {
  Exports exports(8 * M);
  int made = 0;
  auto make = [&](uint64_t size) {
    return [&made, size](Budget &budget, Counters &counters) {
      ++made;
      return std::make_shared<Engine>(Settings{.size = size}, budget, counters, util::Log());
    };
  };
  auto a = exports.join("x", 100, true, make(100));
  auto b = exports.join("x", 100, true, make(100));
  CHECK(a == b);
  CHECK(exports.join("x", 100, false, make(100)) != a);
  CHECK(exports.join("y", 100, true, make(100)) != a);
  CHECK(exports.join("x", 200, true, make(200)) != a);
  CHECK(made == 4);
  exports.leave(a);
  CHECK(exports.join("x", 100, true, make(100)) == b);
  exports.leave(b);
  a = exports.join("x", 100, true, make(100));
  CHECK(made == 5);
}

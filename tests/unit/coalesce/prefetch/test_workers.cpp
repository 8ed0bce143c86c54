// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/coalesce/engine_fixture.hpp"

using namespace coalesce;
using namespace std::chrono_literals;

TEST_CASE("a connection is detached when the worker that reads through it has ended to do so") {
  FakeDisk disk(16 * M, 0us);
  Gate gate;
  disk.before_read = [&](auto) { gate.pass(); };
  FakeConnection connection(disk);
  MemoryBudget budget(16 * M);
  Counters counters;
  Engine engine({.size = 16 * M, .chunk = M, .workers = 1, .priority = {{0, M}}}, budget, counters,
                util::Log());
  engine.attach(connection);
  gate.wait_until_held();
  durability::SyncPoint::Hold waits("coalesce.detach_waits");
  std::atomic<bool> detached = false;
  std::jthread opener([&] {
    while (!waits.reached() && !detached) std::this_thread::yield();
    waits.release();
    gate.open();
  });
  engine.detach(connection);
  unsigned still_reading = gate.held();
  detached = true;
  CHECK(still_reading == 0);
}

TEST_CASE("connections come and go while others are read through") {
  EngineFixture fixture(16 * M, 200us);
  for (int round = 0; round < 10; ++round) {
    auto connection = std::make_unique<FakeConnection>(fixture.disk);
    fixture.engine->attach(*connection);
    std::vector<std::byte> buffer(64 * K);
    for (uint64_t at = 0; at < M; at += 64 * K) {
      fixture.engine->read(*connection, buffer, uint64_t(round) * M + at);
    }
    fixture.engine->detach(*connection);
    connection.reset();  // a worker that still used it would be seen by the sanitizers
  }
  CHECK(fixture.counters.streams > 0);
}

TEST_CASE("workers use connections of their own; without them requests fetch the chunks") {
  for (bool possible : {true, false}) {
    FakeDisk disk(16 * M, 1ms);
    FakeConnection connection(disk);
    MemoryBudget budget(16 * M);
    Counters counters;
    std::atomic<int> made = 0;
    Engine engine({.size = 16 * M, .chunk = M, .workers = 3, .fast_read = 0us}, budget, counters,
                  util::Log(), [&]() -> std::unique_ptr<LowerConnection> {
                    ++made;
                    if (!possible) throw 1;
                    return std::make_unique<FakeConnection>(disk);
                  });
    engine.attach(connection);
    std::vector<std::byte> buffer(64 * K), all;
    for (uint64_t at = 0; at < 16 * M; at += 64 * K) {
      engine.read(connection, buffer, at);
      all.insert(all.end(), buffer.begin(), buffer.end());
    }
    engine.detach(connection);
    CHECK(testing::equal(all, disk.bytes));
    while (made < 3) std::this_thread::yield();  // nobody has waited for the workers to begin
    CHECK(made == 3);
    CHECK(disk.read_bytes == 16 * M);
    CHECK(disk.reads < 40);
  }
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "filters/coalesce/shared_engines.hpp"
#include "tests/unit/coalesce/fake_disk.hpp"

using namespace coalesce;

namespace {

constexpr uint64_t M = 1u << 20;

SharedEngines::Make engine_of(uint64_t size, int *made = nullptr) {
  return [=](MemoryBudget &budget, Counters &counters) {
    if (made != nullptr) ++*made;
    return std::make_unique<Engine>(Settings{.size = size}, budget, counters, util::Log());
  };
}

}  // namespace

TEST_CASE("connections that see the same disk share an engine, and the memory") {
  SharedEngines engines(8 * M);
  int made = 0;
  Engine &a = engines.join("x", 100, true, engine_of(100, &made));
  Engine &b = engines.join("x", 100, true, engine_of(100, &made));
  CHECK(&a == &b);
  CHECK(&engines.join("x", 100, false, engine_of(100, &made)) != &a);
  CHECK(&engines.join("y", 100, true, engine_of(100, &made)) != &a);
  CHECK(&engines.join("x", 200, true, engine_of(200, &made)) != &a);
  CHECK(made == 4);
  engines.leave(a);
  CHECK(&engines.join("x", 100, true, engine_of(100, &made)) == &b);
  CHECK(made == 4);
  engines.leave(b);
  engines.leave(b);
  engines.join("x", 100, true, engine_of(100, &made));
  CHECK(made == 5);
}

// Its workers are joined, and one of them is in a read that takes as long as it likes.
TEST_CASE("an engine that ends keeps no other connection waiting") {
  FakeDisk disk(4 * M, std::chrono::microseconds(0));
  Gate gate;
  disk.before_read = [&](auto) { gate.pass(); };
  SharedEngines engines(8 * M);
  FakeConnection connection(disk);
  Engine &ending = engines.join("x", 4 * M, true, [&](MemoryBudget &budget, Counters &counters) {
    Settings s{.size = 4 * M, .chunk = M, .workers = 1, .priority = {{0, M}}};
    return std::make_unique<Engine>(s, budget, counters, util::Log(),
                                    [&] { return std::make_unique<FakeConnection>(disk); });
  });
  ending.attach(connection);
  gate.wait_until_held();
  ending.detach(connection);

  // A write to the export while its last connection leaves.
  durability::SyncPoint::Hold writing("coalesce.invalidate"), leaves("coalesce.leave"),
      ends("coalesce.workers_end");
  std::jthread writer([&] { engines.invalidate({0, M}); });
  writing.wait();
  std::atomic<bool> ended = false;
  std::jthread leaver([&] {
    engines.leave(ending);
    ended = true;
  });
  leaves.wait();
  leaves.release();
  writing.release();
  writer.join();
  ends.wait();
  auto joined = std::async(std::launch::async, [&] {
    engines.leave(engines.join("y", 100, true, engine_of(100)));
    engines.invalidate({0, 100});
  });
  CHECK(joined.wait_for(std::chrono::minutes(10)) == std::future_status::ready);
  CHECK_FALSE(ended);
  ends.release();
  gate.open();
  leaver.join();
  CHECK(ended);
  CHECK(engines.budget().used() == 0);
}

TEST_CASE("the memory is divided among the exports that are open") {
  FakeDisk disk(4 * M, std::chrono::microseconds(0));
  FakeConnection connection(disk);
  SharedEngines engines(4 * M);
  auto prefetching = [&](MemoryBudget &budget, Counters &counters) {
    Settings s{.size = 4 * M, .chunk = M, .workers = 1, .priority = {{0, 4 * M}}};
    return std::make_unique<Engine>(s, budget, counters, util::Log());
  };
  // The other one has been closed: all of it.
  Engine &x = engines.join("x", 4 * M, true, prefetching);
  engines.leave(engines.join("y", 100, true, engine_of(100)));
  x.attach(connection);
  CHECK(disk.wait_for_reads(4));
  x.detach(connection);  // and what is being fetched has arrived
  CHECK(engines.budget().used() == 4 * M);
  Engine &y = engines.join("y", 100, true, engine_of(100));
  CHECK(engines.budget().used() == 2 * M);
  engines.leave(y);
  engines.leave(x);
  CHECK(engines.budget().used() == 0);
}

// They may show the same disk.
TEST_CASE("a write is told to the engines of all exports") {
  FakeDisk disk(M, std::chrono::microseconds(0));
  FakeConnection connection(disk);
  SharedEngines engines(8 * M);
  auto prefetching = [&](MemoryBudget &budget, Counters &counters) {
    Settings s{.size = M, .chunk = M, .workers = 1, .priority = {{0, M}}};
    return std::make_unique<Engine>(s, budget, counters, util::Log());
  };
  std::vector<Engine *> list;
  for (const char *name : {"x", "x", "y"}) {
    list.push_back(&engines.join(name, M, false, prefetching));
    list.back()->attach(connection);
    CHECK(disk.wait_for_reads(list.size()));
    list.back()->detach(connection);
  }
  CHECK(engines.budget().used() == 3 * M);
  list.push_back(&engines.join("small", 100, false, engine_of(100)));
  engines.invalidate({M - 5, 1});
  CHECK(engines.budget().used() == 0);
  for (Engine *engine : list) engines.leave(*engine);
}

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/chunks/memory.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using pull::Memory;

TEST_CASE("the buffers of many threads never exceed the limit, and one that alone does is given") {
  Memory memory(400);
  std::atomic<size_t> held = 0, most = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        Memory::Buffer buffer(memory, 100);
        const size_t now = held += buffer.bytes().size();
        for (size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        held -= buffer.bytes().size();
      }
    });
  }
  threads.clear();
  CHECK(most > 0);
  CHECK(most <= 400);
  CHECK(Memory::Buffer(memory, 1000).bytes().size() == 1000);
}

TEST_CASE(
    "memory that is kept counts, and a large buffer is not kept where a small one is needed") {
  Memory memory(1000);
  { Memory::Buffer large(memory, 800); }
  for (int i = 0; i < 3; ++i) {
    Memory::Buffer small(memory, 100);
    REQUIRE(memory.allocated() == 900);  // the large one is still there
  }
  {
    Memory::Buffer a(memory, 300), b(memory, 600);  // for which the large one has no room
    CHECK(memory.allocated() <= 1000);
  }
  memory.drop_spares();
  CHECK(memory.allocated() == 0);
}

TEST_CASE("a buffer that cannot be allocated is not counted") {
  Memory memory(1000);
  CHECK_THROWS(Memory::Buffer(memory, ~size_t{0}));
  CHECK(memory.allocated() == 0);
}

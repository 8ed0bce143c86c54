// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "common/durability/flushes_under_way.hpp"

using durability::FlushesUnderWay;

TEST_CASE("those that began before are waited for, and no others") {
  FlushesUnderWay flushes;
  flushes.wait();
  const uint64_t first = flushes.begin(), second = flushes.begin();
  std::atomic<int> ended = 0;
  std::jthread ending([&] {
    ++ended;
    flushes.end(second);
    ++ended;
    flushes.end(first);
  });
  flushes.wait();
  CHECK(ended == 2);
  const uint64_t third = flushes.begin();
  CHECK(third > second);
  flushes.end(third);
  flushes.end(third);
  flushes.wait();
}

TEST_CASE("one that began after the call is not waited for") {
  FlushesUnderWay flushes;
  const uint64_t first = flushes.begin();
  std::atomic<bool> returned = false;
  std::jthread waiting([&] {
    flushes.wait();
    returned = true;
  });
  // The thread may be late, and wait for these as well: then the last of them ends.
  uint64_t last = flushes.begin();
  flushes.end(first);
  while (!returned) {
    const uint64_t next = flushes.begin();
    flushes.end(last);
    last = next;
    std::this_thread::yield();
  }
  flushes.end(last);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>

#include "filters/fanout/primary_readers.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace fanout;

TEST_CASE("primary readers: a connection that leaves waits for the reads through it") {
  PrimaryReaders readers;
  std::atomic<bool> reading = false, go_on = false, gone = false, alive = true;
  auto id = readers.add([&](std::span<std::byte>, uint64_t) {
    reading = true;
    while (!go_on) std::this_thread::yield();
    alive = !gone;
  });
  std::jthread reader([&] { readers.read({}, 0); });
  while (!reading) std::this_thread::yield();
  testing::WaitingThread leaver([&] {
    readers.remove(id);
    gone = true;
  });
  while (readers.any()) std::this_thread::yield();  // it is leaving
  CHECK(!readers.read({}, 0));
  CHECK(leaver.waits());
  go_on = true;
  reader.join();
  leaver.join();
  CHECK(alive);
}

TEST_CASE("primary readers: a read that throws is over") {
  PrimaryReaders readers;
  auto id = readers.add([](std::span<std::byte>, uint64_t) { throw std::runtime_error("no"); });
  CHECK_THROWS_AS(readers.read({}, 0), std::runtime_error);
  readers.remove(id);  // does not wait for ever
  CHECK(!readers.any());
}

// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/waiters.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>

using namespace std::chrono_literals;
using util::Waiters;

TEST_CASE("one that has waited for so long is told of, also beside others that come and go") {
  Waiters waiters;
  const Waiters::Wait first(waiters);
  const auto begun = Waiters::Clock::now();
  std::atomic<bool> told = false;
  std::jthread others([&] {
    while (!told) const Waiters::Wait wait(waiters);
  });
  CHECK(waiters.wait_for_one(50ms));
  CHECK(Waiters::Clock::now() - begun >= 49ms);
  CHECK(waiters.wait_for_one(50ms));
  told = true;
}

TEST_CASE("short waits are not told of; the end ends the look for one") {
  Waiters waiters;
  std::atomic<bool> ended = false;
  std::atomic<bool> found = true;
  std::jthread watch([&] {
    found = waiters.wait_for_one(10min);
    ended = true;
  });
  for (int i = 0; i < 100; ++i) const Waiters::Wait wait(waiters);
  CHECK_FALSE(ended);
  waiters.stop();
  watch.join();
  CHECK_FALSE(found);
  CHECK_FALSE(waiters.wait_for_one(0ms));
}

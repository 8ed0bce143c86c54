// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <stdexcept>
#include <thread>
#include <vector>

#include "common/durability/flush_round.hpp"
#include "common/durability/sync_point.hpp"
#include "tests/unit/waiting_thread.hpp"

using durability::FlushRound;
using durability::SyncPoint;

TEST_CASE("a caller waits for a round that begins after its call") {
  std::atomic<int> begun = 0;
  FlushRound<> rounds([&] {
    ++begun;
    SyncPoint::reach("test.round");
  });
  SyncPoint::Hold hold("test.round");
  std::jthread first([&] { rounds.run(); });
  hold.wait();
  std::atomic<bool> returned = false;
  std::jthread second([&] {
    rounds.run();
    returned = true;
  });
  CHECK(!returned);
  CHECK(begun == 1);
  hold.release();
  first.join();
  second.join();
  CHECK(begun == 2);
}

TEST_CASE("what a round throws is thrown to all that waited for it") {
  FlushRound<bool> rounds([](bool fails) {
    if (fails) throw std::runtime_error("no");
  });
  CHECK_THROWS_AS(rounds.run(true), std::runtime_error);
  rounds.run(false);
}

TEST_CASE("many callers share few rounds, and each sees its own work covered") {
  std::atomic<int> written = 0, flushed = 0, missed = 0;
  FlushRound<> rounds([&] { flushed = written.load(); });
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          int mine = ++written;
          rounds.run();
          if (flushed < mine) ++missed;
        }
      });
    }
  }
  CHECK(missed == 0);
}

TEST_CASE("a round that fails does so for all who wait for it, and the next one may succeed") {
  std::atomic<int> number = 0;
  FlushRound<> rounds([&] {
    if (++number == 1) return SyncPoint::reach("test.round");
    if (number <= 5) throw std::runtime_error("no");
  });
  SyncPoint::Hold hold("test.round");
  std::jthread first([&] { rounds.run(); });
  hold.wait();
  std::atomic<int> told = 0;
  {
    std::deque<testing::WaitingThread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        try {
          rounds.run();
        } catch (const std::runtime_error &) {
          ++told;
        }
      });
    }
    for (auto &one : threads) CHECK(one.waits());  // all of them for one round
    hold.release();
  }
  CHECK(told == 4);
  number = 5;
  CHECK_NOTHROW(rounds.run());
}

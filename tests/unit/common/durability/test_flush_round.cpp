// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "common/durability/flush_round.hpp"
#include "common/durability/sync_point.hpp"

using durability::FlushRound;
using durability::SyncPoint;

TEST_CASE("a caller waits for a round that begins after its call") {
  FlushRound rounds;
  std::atomic<int> begun = 0;
  SyncPoint::Hold hold("test.round");
  auto round = [&] {
    ++begun;
    SyncPoint::reach("test.round");
  };
  std::jthread first([&] { rounds.run(round); });
  hold.wait();
  std::atomic<bool> returned = false;
  std::jthread second([&] {
    rounds.run(round);
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
  FlushRound rounds;
  CHECK_THROWS_AS(rounds.run([] { throw std::runtime_error("no"); }), std::runtime_error);
  rounds.run([] {});
}

TEST_CASE("many callers share few rounds, and each sees its own work covered") {
  FlushRound rounds;
  std::atomic<int> written = 0, flushed = 0, missed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          int mine = ++written;
          rounds.run([&] { flushed = written.load(); });
          if (flushed < mine) ++missed;
        }
      });
    }
  }
  CHECK(missed == 0);
}

TEST_CASE("a round that fails does so for all who wait for it, and the next one may succeed") {
  FlushRound rounds;
  SyncPoint::Hold hold("test.round");
  std::jthread first([&] { rounds.run([] { SyncPoint::reach("test.round"); }); });
  hold.wait();
  std::atomic<int> told = 0, begun = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        ++begun;
        try {
          rounds.run([] { throw std::runtime_error("no"); });
        } catch (const std::runtime_error &) {
          ++told;
        }
      });
    }
    while (begun < 4) std::this_thread::yield();
    // That all of them wait for one round makes the test sharper, and nothing depends on it.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    hold.release();
  }
  CHECK(told == 4);
  CHECK_NOTHROW(rounds.run([] {}));
}

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

// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/qcow2/tables/group_commit.hpp"

using namespace qcow2;

TEST_CASE("one round serves all threads that waited for it, and its failure reaches them") {
  std::atomic<int> rounds = 0;
  bool fail = false;
  GroupCommit commit([&] {
    ++rounds;
    if (fail) throw util::Error(EIO, "lost");
  });
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < 8; ++t) {
      pool.emplace_back([&] {
        for (int i = 0; i < 100; ++i) commit.run();
      });
    }
  }
  CHECK(rounds <= 800);
  CHECK(rounds >= 100);
  fail = true;
  CHECK_THROWS_WITH(commit.run(), "lost");
  fail = false;
  CHECK_NOTHROW(commit.run());
}

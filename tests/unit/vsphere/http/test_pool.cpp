// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "plugins/vsphere/http/pool.hpp"

using namespace vsphere;

TEST_CASE("no more connections than allowed are in use at a time") {
  HttpPool pool({"nowhere.invalid", "", "", false}, 3);
  std::atomic<int> in_use = 0, most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        HttpPool::Lease lease(pool);
        int now = ++in_use;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        if (i % 10 == 0) lease.http();
        std::this_thread::yield();
        --in_use;
      }
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(most <= 3);
  pool.disconnect();
}

// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
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

TEST_CASE("a connection that is refused goes, and while none is served all may be tried") {
  std::vector<std::string> told;
  HttpPool pool({"127.0.0.1:1", "", "", true}, 2,
                util::Log([&](util::Level, const std::string &line) { told.push_back(line); }));
  for (int i = 0; i < 3; ++i) {
    HttpPool::Lease one(pool), other(pool);  // would wait for each other if the limit were lower
    HttpRequest request;
    request.path = "/";
    CHECK_THROWS_AS(one.http().send(request), TransportError);
    CHECK_FALSE(one.http().has_served());
  }
  CHECK(told.empty());
}

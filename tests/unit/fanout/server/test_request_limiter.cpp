// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "filters/fanout/server/request_limiter.hpp"

using fanout::Limiter;

TEST_CASE("as many start as there are units, the rest in order as units come back") {
  Limiter limiter(2);
  std::vector<int> started;
  for (int i = 0; i < 5; ++i) {
    limiter.acquire([&started, i](bool granted) {
      CHECK(granted);
      started.push_back(i);
    });
  }
  CHECK(started == std::vector<int>{0, 1});
  limiter.release();
  CHECK(started == std::vector<int>{0, 1, 2});
  limiter.release();
  limiter.release();
  CHECK(started == std::vector<int>{0, 1, 2, 3, 4});
  limiter.release();
  limiter.release();
  limiter.acquire([&](bool granted) { started.push_back(granted ? 5 : -1); });
  CHECK(started.back() == 5);
}

TEST_CASE("a broken limiter refuses all that waits and all that comes") {
  Limiter limiter(1);
  int granted = 0;
  int refused = 0;
  auto count = [&](bool yes) { yes ? ++granted : ++refused; };
  limiter.acquire(count);
  limiter.acquire(count);
  limiter.acquire(count);
  limiter.break_up();
  CHECK(granted == 1);
  CHECK(refused == 2);
  limiter.release();
  limiter.acquire(count);
  CHECK(granted == 1);
  CHECK(refused == 3);
}

TEST_CASE("from many threads, never more than the units, and all of them in the end") {
  constexpr int units = 3;
  constexpr int threads = 4;
  constexpr int each = 2000;
  Limiter limiter(units);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          limiter.acquire([&](bool) {
            int now = ++inside;
            int before = most;
            while (now > before && !most.compare_exchange_weak(before, now)) {
            }
            --inside;
            ++done;
            limiter.release();
          });
        }
      });
    }
  }
  CHECK(done == threads * each);
  CHECK(most <= units);
}

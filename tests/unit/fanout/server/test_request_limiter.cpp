// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "filters/fanout/server/request_limiter.hpp"

using fanout::RequestLimiter;

namespace {

// Calls a function: true when it is started, false when it is rejected.
class Waiter final : public RequestLimiter::Waiter {
 public:
  explicit Waiter(std::function<void(bool)> f) : f_(std::move(f)) {}

 private:
  void start() override { f_(true); }
  void reject() override { f_(false); }
  const std::function<void(bool)> f_;
};

}  // namespace

TEST_CASE("as many start as the limit allows, the rest in order") {
  RequestLimiter limiter(2);
  std::vector<int> started;
  std::deque<Waiter> waiters;
  for (int i = 0; i < 5; ++i) {
    limiter.acquire(waiters.emplace_back([&started, i](bool granted) {
      CHECK(granted);
      started.push_back(i);
    }));
  }
  CHECK(started == std::vector<int>{0, 1});
  limiter.release();
  CHECK(started == std::vector<int>{0, 1, 2});
  limiter.release();
  limiter.release();
  CHECK(started == std::vector<int>{0, 1, 2, 3, 4});
  limiter.release();
  limiter.release();
  Waiter last([&](bool granted) { started.push_back(granted ? 5 : -1); });
  limiter.acquire(last);
  CHECK(started.back() == 5);
}

TEST_CASE("a closed limiter rejects all that waits and all that comes") {
  RequestLimiter limiter(1);
  int granted = 0;
  int rejected = 0;
  std::deque<Waiter> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&](bool yes) { yes ? ++granted : ++rejected; });
  }
  for (int i = 0; i < 3; ++i) limiter.acquire(waiters[i]);
  limiter.close();
  CHECK(granted == 1);
  CHECK(rejected == 2);
  limiter.release();
  limiter.acquire(waiters[3]);
  CHECK(granted == 1);
  CHECK(rejected == 3);
}

TEST_CASE("many threads: never more than the limit, and all are started") {
  constexpr int units = 3;
  constexpr int threads = 4;
  constexpr int each = 2000;
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  std::vector<std::deque<Waiter>> waiters(threads);  // one may be started by another thread
  RequestLimiter limiter(units);
  {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) {
          limiter.acquire(waiters[t].emplace_back([&](bool) {
            int now = ++inside;
            int before = most;
            while (now > before && !most.compare_exchange_weak(before, now)) {
            }
            --inside;
            ++done;
            limiter.release();
          }));
        }
      });
    }
  }
  CHECK(done == threads * each);
  CHECK(most <= units);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/vsphere/http/retry.hpp"

using namespace vsphere;

TEST_CASE("retryable errors are retried with doubled pauses, others are not") {
  std::vector<int64_t> pauses;
  RetryPolicy policy;
  policy.retries = 3;
  policy.delay = std::chrono::milliseconds(10);
  policy.sleep = [&](std::chrono::milliseconds time) { pauses.push_back(time.count()); };
  int calls = 0, counted = 0;
  policy.on_retry = [&] { ++counted; };
  auto attempt = [&](bool retryable, int good) {
    return with_retries(policy, {}, "x", [&] {
      if (++calls < good) throw TransportError(EIO, "broke", retryable, true);
      return calls;
    });
  };
  CHECK(attempt(true, 4) == 4);
  CHECK(pauses == std::vector<int64_t>{10, 20, 40});
  CHECK(counted == 3);
  calls = 0;
  CHECK_THROWS_AS(attempt(true, 5), TransportError);
  CHECK(calls == 4);
  calls = 0;
  CHECK_THROWS_AS(attempt(false, 2), TransportError);
  CHECK(calls == 1);
}

TEST_CASE("with reconnect_for the time counts, and the pauses have a limit") {
  RetryPolicy policy;
  policy.retries = 1;
  policy.delay = std::chrono::seconds(10);
  policy.reconnect_for = std::chrono::seconds(100);
  std::chrono::steady_clock::time_point now{};
  policy.now = [&] { return now; };
  std::vector<int64_t> pauses;
  policy.sleep = [&](std::chrono::milliseconds time) {
    pauses.push_back(time.count());
    now += time;
  };
  int calls = 0;
  auto attempt = [&](int good) {
    return with_retries(policy, {}, "x", [&] {
      if (++calls < good) throw TransportError(EIO, "broke", true, true);
      return calls;
    });
  };
  CHECK(attempt(4) == 4);
  CHECK(pauses == std::vector<int64_t>{10'000, 20'000, 30'000});
  calls = 0;
  pauses.clear();
  CHECK_THROWS_AS(attempt(1000), TransportError);
  CHECK(pauses == std::vector<int64_t>{10'000, 20'000, 30'000, 30'000, 30'000});
}

TEST_CASE("reconnect_for does not repeat what it is not for") {
  RetryPolicy policy;
  policy.retries = 0;
  policy.reconnect_for = std::chrono::seconds(100);
  policy.sleep = [](std::chrono::milliseconds) {};
  int calls = 0;
  CHECK_THROWS_AS(with_retries(policy, {}, "x",
                               [&] {
                                 ++calls;
                                 throw TransportError(EIO, "refused", false, true);
                               }),
                  TransportError);
  CHECK(calls == 1);
}

TEST_CASE("an exception of the pause ends the retries") {
  RetryPolicy policy;
  policy.sleep = [](std::chrono::milliseconds) { util::fail(EINTR, "told to end"); };
  int calls = 0;
  auto attempt = [&] {
    with_retries(policy, {}, "x", [&] {
      ++calls;
      throw TransportError(EIO, "broke", true, true);
    });
  };
  CHECK_THROWS_WITH(attempt(), "told to end");
  CHECK(calls == 1);
}

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

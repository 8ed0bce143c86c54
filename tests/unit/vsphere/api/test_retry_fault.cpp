// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <chrono>

#include "plugins/vsphere/api/retry_fault.hpp"

using namespace vsphere;

TEST_CASE("a temporary fault is retried, as often as the policy says") {
  RetryPolicy policy;
  policy.reconnect_for = std::chrono::seconds(100);  // is for connections: the count decides
  policy.sleep = [](std::chrono::milliseconds) {};
  unsigned failures = 0;
  auto query = [&]() -> unsigned {
    if (failures-- > 0) throw fault_error({"SystemError", "", "", {}}, "query");
    return 50;
  };
  failures = 3;
  CHECK(retry_temporary_fault(policy, {}, query) == 50);
  failures = 4;
  CHECK_THROWS_AS(retry_temporary_fault(policy, {}, query), FaultError);
}

TEST_CASE("a busy machine is retried at least the minimum number of times") {
  RetryPolicy policy;
  policy.retries = 1;
  policy.reconnect_for = std::chrono::seconds(100);
  policy.sleep = [](std::chrono::milliseconds) {};
  int calls = 0;
  auto busy = [&] {
    ++calls;
    throw fault_error({"TaskInProgress", "", "", {}}, "task");
  };
  CHECK_THROWS_AS(retry_busy_vm(policy, {}, 0, busy), FaultError);
  CHECK(calls == 2);
  calls = 0;
  CHECK_THROWS_AS(retry_busy_vm(policy, {}, 6, busy), FaultError);
  CHECK(calls == 7);
  calls = 0;
  CHECK_THROWS_AS(retry_temporary_fault(policy, {}, busy), FaultError);
  CHECK(calls == 1);
}

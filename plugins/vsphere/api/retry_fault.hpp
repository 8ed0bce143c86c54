// SPDX-License-Identifier: BSD-3-Clause
//
// Which faults of the API are followed by another attempt. What the other retries are about is a
// broken connection (Client::call).
#pragma once

#include <algorithm>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/http/retry.hpp"

namespace vsphere {

// Repeats attempt() while the fault is a temporary one. reconnect_for is about connections.
template <typename Attempt>
auto retry_temporary_fault(RetryPolicy policy, const util::Log &log, Attempt &&attempt) {
  policy.reconnect_for = {};
  return retry_while<FaultError>(
      policy, log, "", [](const FaultError &e) { return e.meaning() == Meaning::temporary; },
      attempt);
}

// Repeats attempt() while the machine is busy with another task, at least `min_retries` times.
template <typename Attempt>
auto retry_busy_vm(RetryPolicy policy, const util::Log &log, unsigned min_retries,
                   Attempt &&attempt) {
  policy.reconnect_for = {};
  policy.retries = std::max(policy.retries, min_retries);
  return retry_while<FaultError>(
      policy, log, "", [](const FaultError &e) { return e.meaning() == Meaning::busy; }, attempt);
}

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// The one loop in which this plugin repeats what has failed. Which faults of the API are repeated is
// in api/retry_fault.hpp.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/error.hpp"

namespace vsphere {

struct RetryPolicy {
  unsigned retries = 3;                   // after the first attempt
  std::chrono::milliseconds delay{1000};  // before the first retry; doubled before each further one
  // Not 0: what is lost is tried again for so long, whatever `retries` is, with pauses of at most `longest_pause`.
  std::chrono::milliseconds reconnect_for{0};
  static constexpr std::chrono::milliseconds longest_pause{30'000};
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  // Waits, before a retry and between two questions about a task. May return early, or throw to end
  // the attempts, when nbdkit is told to end. Called from any thread.
  std::function<void(std::chrono::milliseconds)> sleep = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
  std::function<void()> on_retry = [] {};  // for statistics
};

// Whether the policy allows a retry after so many failures. `began`: when the first attempt did.
inline bool allows_retry(const RetryPolicy &policy, unsigned failures,
                         std::chrono::steady_clock::time_point began) {
  if (policy.reconnect_for.count() > 0) return policy.now() - began < policy.reconnect_for;
  return failures < policy.retries;
}

// Before a retry after so many failures.
inline std::chrono::milliseconds pause_after(const RetryPolicy &policy, unsigned failures) {
  std::chrono::milliseconds pause = policy.delay * (1u << std::min(failures, 20u));
  return policy.reconnect_for.count() > 0 ? std::min(pause, RetryPolicy::longest_pause) : pause;
}

// Returns what attempt() returns. An Error for which is_temporary(error) is true is logged, with
// `prefix` before its text, and attempt() is called again after a pause, as often as the policy says.
// The last such error, and every other exception, goes to the caller.
template <typename Error, typename IsTemporary, typename Attempt>
auto retry_while(const RetryPolicy &policy, const util::Log &log, std::string_view prefix,
                 IsTemporary &&is_temporary, Attempt &&attempt) {
  const auto began = policy.now();
  for (unsigned failures = 0;;) {
    try {
      return attempt();
    } catch (const Error &e) {
      if (!is_temporary(e) || !allows_retry(policy, failures, began)) throw;
      auto pause = pause_after(policy, failures);
      ++failures;
      log.info("{}{}; retry {}{} in {} ms", prefix, e.what(), failures,
               policy.reconnect_for.count() > 0 ? "" : fmt::format(" of {}", policy.retries),
               pause.count());
      policy.on_retry();
      policy.sleep(pause);
    }
  }
}

// Repeats attempt() while it throws a retryable TransportError. `what` is attempted, for the log.
template <typename Attempt>
auto with_retries(const RetryPolicy &policy, const util::Log &log, const std::string &what,
                  Attempt &&attempt) {
  return retry_while<TransportError>(
      policy, log, what + ": ", [](const TransportError &e) { return e.retryable(); }, attempt);
}

}  // namespace vsphere

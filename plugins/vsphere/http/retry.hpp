// SPDX-License-Identifier: BSD-3-Clause
//
// The one loop in which this plugin repeats what has failed. Which faults of the API are repeated is
// in api/retry_fault.hpp.
#pragma once

#include <chrono>
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
  // Waits, before a retry and between two questions about a task. May return early, or throw to end
  // the attempts, when nbdkit is told to end. Called from any thread.
  std::function<void(std::chrono::milliseconds)> sleep = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
  std::function<void()> on_retry = [] {};  // for statistics
};

// Returns what attempt() returns. An Error for which is_temporary(error) is true is logged, with
// `prefix` before its text, and attempt() is called again after a pause, as often as the policy says.
// The last such error, and every other exception, goes to the caller.
template <typename Error, typename IsTemporary, typename Attempt>
auto retry_while(const RetryPolicy &policy, const util::Log &log, std::string_view prefix,
                 IsTemporary &&is_temporary, Attempt &&attempt) {
  for (unsigned failures = 0;;) {
    try {
      return attempt();
    } catch (const Error &e) {
      if (failures >= policy.retries || !is_temporary(e)) throw;
      auto pause = policy.delay * (1u << failures);
      ++failures;
      log.info("{}{}; retry {} of {} in {} ms", prefix, e.what(), failures, policy.retries,
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

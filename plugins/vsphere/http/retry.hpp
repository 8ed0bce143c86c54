// SPDX-License-Identifier: BSD-3-Clause
//
// When and how often what failed is tried again.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

struct RetryPolicy {
  unsigned retries = 3;                   // after the first attempt
  std::chrono::milliseconds delay{1000};  // before the first retry; doubled each time
  // Of any wait. May return early, or throw, when nbdkit is told to end.
  std::function<void(std::chrono::milliseconds)> sleep = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
  std::function<void()> count = [] {};  // told of each retry

  void before_retry(std::chrono::milliseconds pause) const {
    count();
    sleep(pause);
  }
};

// Runs attempt() until it does not throw a retryable TransportError; the last one goes on to the
// caller, as does everything else. `what` is for the log.
template <typename Attempt>
auto with_retries(const RetryPolicy &policy, const util::Log &log, const std::string &what,
                  Attempt &&attempt) {
  for (unsigned failures = 0;;) {
    try {
      return attempt();
    } catch (const TransportError &e) {
      if (!e.retryable() || failures >= policy.retries) throw;
      auto pause = policy.delay * (1u << failures);
      ++failures;
      log.info("{}: {}; retry {} of {} in {} ms", what, e.what(), failures, policy.retries,
               pause.count());
      policy.before_retry(pause);
    }
  }
}

}  // namespace vsphere

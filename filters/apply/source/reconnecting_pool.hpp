// SPDX-License-Identifier: BSD-3-Clause
//
// Connections to one export of the source. A server that is lost is connected to once more.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/nbd/pool.hpp"
#include "common/util/log.hpp"

namespace apply {

// How long the source may take.
struct Timeouts {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds request{60'000};
  std::chrono::milliseconds pause{1'000};  // before connecting a second time
};

// Used by one thread at a time.
class ReconnectingPool {
 public:
  // `check` is called with what the server tells, after each connecting. It throws util::Error if
  // that is not what was expected, which is not tried again. `log` is told of what nbd::Pool warns of, at
  // each connecting.
  using Check = std::function<void(const nbd::Info &)>;
  ReconnectingPool(
      std::string uri, Timeouts timeouts, Check check = [](const nbd::Info &) {},
      unsigned connections = 1, util::Log log = {});

  // Connects unless connected. Throws util::Error after the second try.
  const nbd::Info &info();

  // Runs f with the connections. If the server is lost meanwhile, or does not answer in time,
  // connects again and runs f a second time. Anything else that f throws goes to the caller.
  void with(const std::function<void(nbd::Pool &)> &f);

 private:
  void connect();

  const nbd::Options options_;
  const std::chrono::milliseconds pause_;
  const Check check_;
  const unsigned connections_;
  const util::Log log_;
  std::unique_ptr<nbd::Pool> pool_;  // empty: not connected
};

}  // namespace apply

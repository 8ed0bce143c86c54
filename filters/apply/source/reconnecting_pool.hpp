// SPDX-License-Identifier: BSD-3-Clause
//
// A connection to one export of the source that survives the loss of its server once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/nbd/pool.hpp"
#include "filters/apply/disk/disk_bytes.hpp"

namespace apply {

// How long the source may take.
struct Timeouts {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds request{60'000};
  std::chrono::milliseconds pause{1'000};  // before the second try
};

// Used by one thread at a time.
class Link {
 public:
  // check is called with what a new connection tells, and throws util::Error if that is not what was
  // expected; this is not tried again.
  using Check = std::function<void(const nbd::Info &)>;
  Link(
      std::string uri, Timeouts timeouts, Check check = [](const nbd::Info &) {},
      unsigned connections = 1);

  // Connects, if that has not been done. Throws util::Error after the second try.
  const nbd::Info &info();

  // Runs f with the connection. If the server is lost meanwhile, or does not answer in time, connects
  // once more and runs it again. What f throws while the server is there goes on to the caller.
  void with(const std::function<void(nbd::Pool &)> &f);

  // All of them at the same time. They may begin and end anywhere.
  void read(std::span<const Read> reads);

 private:
  void connect();

  const nbd::Options options_;
  const std::chrono::milliseconds pause_;
  const Check check_;
  const unsigned connections_;
  std::unique_ptr<nbd::Pool> pool_;
};

}  // namespace apply

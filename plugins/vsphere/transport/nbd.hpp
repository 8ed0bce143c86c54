// SPDX-License-Identifier: BSD-3-Clause
//
// transport=nbd: the data comes from an NBD server that has the disk as it is in the snapshot. What
// is allocated and what has changed still comes from vSphere.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/nbd/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

class NbdTransport : public Transport {
 public:
  // `timeout` is for one request. What `interrupt` throws (util::Error EINTR) ends a wait.
  NbdTransport(const std::string &uri, unsigned connections, std::chrono::seconds timeout,
               const std::function<void()> &interrupt, const RetryPolicy &policy,
               const util::Log &log);

  // Connects, compares the size with the capacity, and reads the last sector. Does not retry: a
  // server that was never reached is more likely a wrong nbd-uri= than a temporary failure.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return true; }
  std::string description() const override;

 private:
  const nbd::Options options_;
  const unsigned connections_;
  const RetryPolicy policy_;
  const util::Log log_;
};

}  // namespace vsphere

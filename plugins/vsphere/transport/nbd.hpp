// SPDX-License-Identifier: BSD-3-Clause
//
// transport=nbd: the bytes come from any NBD server that has the disk as it is in the snapshot;
// what is allocated and what has changed comes from vSphere all the same.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/nbd/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

class NbdTransport : public Transport {
 public:
  // `timeout`: of a request.
  NbdTransport(const std::string &uri, unsigned connections, std::chrono::seconds timeout,
               const RetryPolicy &policy, const util::Log &log);

  // Connects, without retries: a server that was never reached is more likely a wrong one than one
  // that will come back. Its disk must have the size of ours, and its last sector be readable.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return true; }  // whatever the server reads is its matter
  std::string description() const override;

 private:
  const nbd::Options options_;
  const unsigned connections_;
  const RetryPolicy policy_;
  const util::Log log_;
};

}  // namespace vsphere

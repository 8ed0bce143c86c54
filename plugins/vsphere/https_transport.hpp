// SPDX-License-Identifier: BSD-3-Clause
//
// transport=https: the flat file of a disk, read from the datastore in ranges.
#pragma once

#include <memory>
#include <string>

#include "plugins/vsphere/datastore.hpp"
#include "plugins/vsphere/transport.hpp"

namespace vsphere {

class HttpsTransport : public Transport {
 public:
  // The credentials must outlive it, and it the readers.
  HttpsTransport(const Endpoint &endpoint, const Credentials &credentials,
                 const RetryPolicy &policy, unsigned connections, const util::Log &log);

  // Reads the descriptor, takes the file from it, and tries the disk's last sector.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return false; }
  std::string description() const override;
  std::string session() const override { return datastore_.session(); }

 private:
  const unsigned connections_;
  Datastore datastore_;
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// transport=vddk: VMware's own library reads the disk, in a helper process.
#pragma once

#include <memory>
#include <string>

#include "plugins/vsphere/transport/transport.hpp"
#include "plugins/vsphere/transport/vddk/installation.hpp"

namespace vsphere::vddk {

// Not synchronised: one thread opens the disks.
class VddkTransport : public Transport {
 public:
  // The settings must outlive the transport, and the transport the disks that it opens. Throws
  // util::Error ENOENT if the helper program is missing.
  VddkTransport(const Settings &settings, FoundLibrary library, const util::Log &log);

  // Starts a helper process for the disk alone, as VDDK is slower with several disks in one
  // process.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return true; }
  std::string description() const override;

 private:
  const Settings &settings_;
  const FoundLibrary library_;
  const std::string helper_;
  const util::Log log_;
  std::string thumbprint_;  // SHA-1, with colons; empty until the first disk is opened
  std::string mode_;        // VDDK's transport mode for the last disk opened, for the log
};

}  // namespace vsphere::vddk

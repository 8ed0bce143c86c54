// SPDX-License-Identifier: BSD-3-Clause
//
// transport=vddk: VMware's own library reads the disk, in a helper process.
#pragma once

#include <memory>
#include <string>

#include "plugins/vsphere/transport/settings.hpp"
#include "plugins/vsphere/transport/transport.hpp"
#include "plugins/vsphere/transport/vddk/find.hpp"

namespace vsphere::vddk {

class VddkTransport : public Transport {
 public:
  // The settings must outlive it, and it the readers. Throws util::Error ENOENT if the helper
  // program is missing.
  VddkTransport(const Settings &settings, FoundLibrary library, const util::Log &log);

  // A helper process for the disk: VDDK slows down with several disks in one process.
  std::unique_ptr<DiskReader> open(const DiskPlace &place) override;
  bool reads_chains() const override { return true; }
  std::string description() const override;

 private:
  const Settings &settings_;
  const FoundLibrary library_;
  const std::string helper_;
  const util::Log log_;
  std::string thumbprint_;  // SHA-1, as VDDK wants it; empty until it is known
  std::string mode_;        // what VDDK chose for the last disk
};

}  // namespace vsphere::vddk

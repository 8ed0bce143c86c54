// SPDX-License-Identifier: BSD-3-Clause
//
// Why VDDK refuses to open a disk, and what to do about it.
#pragma once

#include <string>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

class OpenError : public util::Error {
 public:
  using util::Error::Error;
};

// `library` is the path of VDDK's library, `disk` names the disk and the server.
OpenError explain(const Failed &failed, const std::string &library, const std::string &disk);

}  // namespace vsphere::vddk

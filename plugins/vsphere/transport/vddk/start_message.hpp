// SPDX-License-Identifier: BSD-3-Clause
//
// The message that makes a helper process open a disk, from the parameters.
#pragma once

#include <string>

#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/transport/transport.hpp"
#include "plugins/vsphere/transport/vddk/installation.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// `thumbprint` is the SHA-1 fingerprint of the server's certificate, with colons.
Start make_start(const Settings &settings, const FoundLibrary &library,
                 const std::string &thumbprint, const DiskPlace &place);

// How many requests VDDK has at the same time for one disk.
unsigned concurrent_requests(const Settings &settings);

}  // namespace vsphere::vddk

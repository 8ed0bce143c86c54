// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plugins/vsphere/transport/vddk/helper/access.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"

namespace vsphere::vddk {

// Answers Read and Query until Stop or the end of the socket. Waits for the reads under way before
// it returns. Throws util::Error EPROTO if the plugin sends anything that is not valid.
void serve(Channel &channel, const Library &library, const Access &access,
           const SharedMemory &memory);

}  // namespace vsphere::vddk

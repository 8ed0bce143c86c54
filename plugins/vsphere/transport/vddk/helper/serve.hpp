// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/helper/access.hpp"
#include "plugins/vsphere/transport/vddk/helper/library.hpp"

namespace vsphere::vddk {

// Answers Read and Query until Stop or the end of the socket; what is under way then is finished.
// `slots` is the shared memory, a whole number of slots. Throws util::Error at what is no message.
void serve(Channel &channel, const Library &library, const Access &access,
           std::span<std::byte> slots);

}  // namespace vsphere::vddk

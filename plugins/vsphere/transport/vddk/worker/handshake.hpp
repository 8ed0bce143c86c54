// SPDX-License-Identifier: BSD-3-Clause
//
// The first words with a helper process: until it has the disk open, or says why it cannot.
#pragma once

#include <chrono>
#include <functional>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// VDDK refuses to open the disk: what() is for a person.
class OpenError : public util::Error {
 public:
  using util::Error::Error;
};

// Sends `start` with the shared memory's file descriptor and waits, no longer than `time`, for the
// answer; what else comes before it goes to `on_other`. Throws OpenError, or util::Error.
Started open_disk(Channel &channel, Process &process, Start start, int memory,
                  std::chrono::milliseconds time,
                  const std::function<void(const Message &)> &on_other);

}  // namespace vsphere::vddk

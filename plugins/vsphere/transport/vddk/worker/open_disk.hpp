// SPDX-License-Identifier: BSD-3-Clause
//
// The first messages between the plugin and a new helper process, until the disk is open.
#pragma once

#include <chrono>

#include "common/util/log.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"

namespace vsphere::vddk {

// Sends `start` with the file descriptor of the shared memory, and waits at most `time` for the
// answer. Throws OpenError if VDDK refuses to open the disk, else util::Error.
Started open_disk(Channel &channel, Process &process, Start start, int memory,
                  std::chrono::milliseconds time, const util::Log &log);

// Logs a line that the helper sent.
void relay(const LogLine &line, const util::Log &log);

// Throws util::Error EPROTO: the helper sent a message that only the plugin sends.
[[noreturn]] void fail_wrong_message();

}  // namespace vsphere::vddk

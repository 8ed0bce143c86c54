// SPDX-License-Identifier: BSD-3-Clause
//
// The first messages between the plugin and a new helper process, until the disk is open.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

#include "common/util/log.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"

namespace vsphere::vddk {

// Sends `start` with the file descriptor of the shared memory, and waits at most `time` for the
// answer. Throws OpenError if VDDK refuses to open the disk, what `interrupt` throws (when the helper has
// ended, or a second later), else util::Error.
Started open_disk(Channel &channel, Process &process, Start start, int memory,
                  std::chrono::milliseconds time, const std::function<void()> &interrupt,
                  const util::Log &log);

// Calls wait(time) for short times, with a call of `interrupt` after each, until it returns something that is
// not empty or false, or the deadline has passed. Returns that.
template <typename Wait>
auto wait_in_slices(std::chrono::steady_clock::time_point deadline,
                    const std::function<void()> &interrupt, Wait &&wait) {
  constexpr std::chrono::milliseconds slice{100};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto result = wait(std::clamp(left, std::chrono::milliseconds(0), slice));
    if (result || left <= slice) return result;
    interrupt();
  }
}

// Logs a line that the helper sent.
void relay(const LogLine &line, const util::Log &log);

// Throws util::Error EPROTO: the helper sent a message that only the plugin sends.
[[noreturn]] void fail_wrong_message();

}  // namespace vsphere::vddk

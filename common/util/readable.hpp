// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>

namespace util {

// Waits until the file descriptor is readable or at its end; false if it is not by the deadline. Signals do
// not end the wait, and do not make it longer. May be called from a signal handler. errno is set if poll(2)
// fails; then it returns true, for the next read tells.
inline bool readable_by(int fd, std::optional<std::chrono::steady_clock::time_point> deadline) {
  for (;;) {
    int wait_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          *deadline - std::chrono::steady_clock::now());
      wait_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
    }
    pollfd p = {fd, POLLIN, 0};
    const int ready = ::poll(&p, 1, wait_ms);
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return true;
  }
}

}  // namespace util

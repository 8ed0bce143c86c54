// SPDX-License-Identifier: BSD-3-Clause
//
// Who goes first when there is not enough processor time for all.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace util {

// The calling thread, and it alone, gives way to others (on Linux a thread has a nice value of its
// own): beside busy ones it gets a tenth of what they get, and all that they leave.
inline void give_way() noexcept {
  constexpr int steps = 10;
  auto thread = static_cast<id_t>(::gettid());
  (void)::setpriority(PRIO_PROCESS, thread, ::getpriority(PRIO_PROCESS, thread) + steps);
}

}  // namespace util

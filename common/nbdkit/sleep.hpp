// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#define NBDKIT_API_VERSION 2
#include <nbdkit-common.h>

#include <chrono>

namespace nbdkit {

// False, at once, if nbdkit has been told to end, and on a client's thread also if the client has gone; nbdkit logs that
// as an error.
inline bool sleep(std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return nbdkit_nanosleep(static_cast<unsigned>(seconds.count()),
                          static_cast<unsigned>((time - seconds).count())) == 0;
}

}  // namespace nbdkit

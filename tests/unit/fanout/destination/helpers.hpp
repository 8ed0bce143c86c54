// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of destinations share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/replication/state_file.hpp"
#include "filters/fanout/settings.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/fanout/sizes.hpp"

namespace fanout {

inline std::byte byte(unsigned n) {
  return static_cast<std::byte>(n);
}

// For Rig.
inline void async(DestinationSettings &settings, size_t) {
  settings.policy.async = true;
}
// Its state file is saved only when a request needs it, when it has caught up, and at the end.
inline void saved_on_request(DestinationSettings &settings, size_t) {
  settings.first_save = settings.save_interval = std::chrono::hours(1);
}
inline void detach(DestinationSettings &settings, size_t) {
  settings.policy.detach = true;
}

using testing::Directory;

inline replication::State state_in(const Directory &directory, const std::string &name) {
  return replication::load_state(directory.file(name + ".json")).value();
}

}  // namespace fanout

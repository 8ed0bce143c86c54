// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of destinations share.
#pragma once

#include <chrono>
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
inline void detach(DestinationSettings &settings, size_t) {
  settings.policy.detach = true;
}
// What other sets, and the state file is saved only when a request needs it, when the destination has caught up, and at the
// end.
inline auto saved_on_request(void (*other)(DestinationSettings &, size_t)) {
  return [other](DestinationSettings &settings, size_t i) {
    other(settings, i);
    settings.first_save = settings.save_interval = std::chrono::hours(1);
  };
}

using testing::Directory;

inline replication::State state_in(const Directory &directory, const std::string &name) {
  return replication::load_state(directory.file(name + ".json")).value();
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// The state file as the last run left it, checked against the source of this one.
#pragma once

#include <optional>
#include <string>

#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/log.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

struct InitialState : replication::State {
  std::string held;  // the checkpoint in the file; empty if there is none
};

// Reads the state file `path`, if there is one, and returns what this run writes to it, except for
// `owed`; `image` is that of the file. `source` is empty if the source does not say what it is. `destination` is the user's name
// for the destination, or empty. Throws util::Error EINVAL if the file is the state of another disk
// or destination, or owes something that is not in the delta.
InitialState initial_state(const std::string &path, const std::string &destination,
                           const std::optional<replication::SourceDescription> &source,
                           const DeltaMap &delta, const util::Log &log);

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON of a state file (nbdkit-replicate-delta(7), "The state file"). It may have a million
// owed ranges, so it is neither written nor read as one text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_file.hpp"

namespace replication {

// Calls out for one part of the JSON after the other. state.owed is not used.
void write_state(const State &state, const EachOwed &each, const durability::Write &out);
EachOwed each_of(const std::vector<extents::Range> &owed);  // which must outlive it

// Nothing if there is no such file. Throws util::Error EINVAL if it is not a state.
std::optional<State> read_state(const std::string &path);

// The same as one text. `origin` names it in messages. parse_state throws util::Error EINVAL.
std::string format(const State &state);
State parse_state(const std::string &text, const std::string &origin);

}  // namespace replication

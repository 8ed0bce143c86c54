// SPDX-License-Identifier: BSD-3-Clause
//
// A directory with the state files of several disks: DISK.state, where DISK is the `disk` of the
// source's description (nbdkit-replicate-delta(7), "The state file").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/replication/state_file.hpp"

namespace replication {

// Whether the value of a parameter names a directory of states and not one state: it is a
// directory, or ends in "/".
bool names_directory(const std::string &path);

// DIRECTORY/DISK.state. It need not exist.
std::string state_path(const std::string &directory, int64_t disk);

// All states in the directory, by disk; none if the directory does not exist. Other files are
// ignored. Throws util::Error, EINVAL if one is damaged (see load_state) or is of another disk than
// its name says.
std::map<int64_t, State> load_states(const std::string &directory);

// One of them; nothing if there is no such file. Throws the same.
std::optional<State> load_state_of(const std::string &directory, int64_t disk);

}  // namespace replication

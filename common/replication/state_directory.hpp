// SPDX-License-Identifier: BSD-3-Clause
//
// The states of several disks: a directory with a file for each, DISK.state, where DISK is what the
// source's description calls the disk (nbdkit-replicate-delta(7)).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/replication/state_file.hpp"

namespace replication {

// Whether a parameter that may name a state file names a directory of them: it is one, or ends in "/".
bool names_directory(const std::string &path);

// DIRECTORY/DISK.state, whether it exists or not.
std::string state_path(const std::string &directory, int64_t disk);

// All that there are, by disk; none if there is no such directory. Other files are left alone. Throws
// util::Error, EINVAL if one is damaged (load_state), or says that it is of another disk than its name
// does.
std::map<int64_t, State> load_states(const std::string &directory);

// One of them; nothing if there is no such file. Throws the same.
std::optional<State> load_state_of(const std::string &directory, int64_t disk);

}  // namespace replication

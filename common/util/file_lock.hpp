// SPDX-License-Identifier: BSD-3-Clause
//
// A lock that keeps other processes from a state file.
#pragma once

#include <optional>
#include <string>

#include "common/util/fd.hpp"

namespace util {

// Where the lock of a state file lies: PATH.lock. (The file itself is replaced at each save, so it
// cannot carry the lock.)
std::string lock_path_of(const std::string &path);

// Takes the lock of `path` (flock(2) on lock_path_of(path)), which is held as long as the descriptor,
// or one inherited by a fork, is open. Nothing if another process holds it. Throws Error if the file
// cannot be created or locked.
std::optional<Fd> try_lock_file(const std::string &path);

}  // namespace util

// SPDX-License-Identifier: BSD-3-Clause
//
// One server for each destination.
#pragma once

#include <string>

#include "common/util/file_lock.hpp"

namespace replication {

// Takes the lock of the state file, and removes what a killed server has left beside it. The lock is held as
// long as what is returned,
// and survives a fork. Throws util::Error: EBUSY if another server holds it, else if the
// file's directory cannot be written to.
util::FileLock lock_state(const std::string &parameter, const std::string &path);

}  // namespace replication

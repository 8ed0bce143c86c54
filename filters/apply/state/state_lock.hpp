// SPDX-License-Identifier: BSD-3-Clause
//
// One server for each destination.
#pragma once

#include <string>

#include "common/util/fd.hpp"

namespace apply {

// Takes the lock of the state file (util::try_lock_file). It is held until the descriptor is
// closed, and survives a fork. Throws util::Error: EBUSY if another server holds it, else if the
// file's directory cannot be written to.
util::Fd lock_state(const std::string &path);

}  // namespace apply

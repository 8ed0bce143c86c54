// SPDX-License-Identifier: BSD-3-Clause
//
// The image locking of QEMU (block/file-posix.c): a process that uses permission n of a file locks
// byte 100 + n of it, a process that does not share permission n locks byte 200 + n. So QEMU,
// qemu-nbd and qemu-img refuse an image that is open here, and this plugin refuses one that is open
// there.
#pragma once

#include <string>

#include "common/util/fd.hpp"

namespace qcow2 {

enum class Use {
  write,    // read and written here, not used by any other process
  backing,  // read here, not written by any other process
};

// The locks are held until the descriptor is closed. Throws util::Error EBUSY if another process's
// use conflicts.
void lock_image(const util::Fd &fd, const std::string &path, Use use);

}  // namespace qcow2

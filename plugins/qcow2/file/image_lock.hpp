// SPDX-License-Identifier: BSD-3-Clause
//
// QEMU's image locking: byte 100 + n of the file is locked by who uses permission n, byte 200 + n
// by who does not share it with others (QEMU's block/file-posix). So that qemu-img, qemu-nbd and
// virtual machines refuse an image that is being written here, and we one that is in use there.
#pragma once

#include <string>

#include "common/util/fd.hpp"

namespace qcow2 {

enum class Use {
  write,    // read and written here, by nobody else
  backing,  // read here, written by nobody
};

// Locks until the descriptor is closed. Throws util::Error EBUSY if another process's use
// conflicts.
void lock_image(const util::Fd &fd, const std::string &path, Use use);

}  // namespace qcow2

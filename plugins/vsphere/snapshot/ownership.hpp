// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "common/util/fd.hpp"

namespace vsphere {

// Held while a virtual machine has a snapshot of ours, so that a second run on this computer does
// not take the first one's snapshot for a leftover and remove it under its reads. It is the name of
// a Unix socket in the kernel's abstract namespace (unix(7)): it lives as long as the last process
// that has inherited it, and no kill -9 leaves it behind.
class RunLock {
 public:
  // Throws util::Error EBUSY if another process holds it. `server` and `vm` (a moref) name the
  // machine.
  RunLock(const std::string &server, const std::string &vm);

 private:
  util::Fd socket_;
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// Which snapshots are this plugin's, and which run of it owns them. The name of a snapshot says which
// computer made it; on that computer the RunLock says whether the run that made it is still there.
#pragma once

#include <string>

#include "common/util/fd.hpp"

namespace vsphere {

// The name of the snapshots that are made on this computer.
std::string snapshot_name();

enum class SnapshotOwner {
  this_host,   // this plugin on this computer
  other_host,  // this plugin on another computer
  foreign,     // somebody else
};
SnapshotOwner owner_of(const std::string &snapshot, const std::string &our_name);

// Held while a virtual machine has a snapshot of this run, so that a second run on this computer does
// not take that snapshot for a leftover and remove it. It is a Unix socket's name in the kernel's
// abstract namespace (unix(7)): the kernel frees the name when the last process that has inherited the
// socket ends, also after kill -9.
class RunLock {
 public:
  // `server` and `vm` (a moref) identify the machine. Throws util::Error EBUSY if another process has
  // the lock.
  RunLock(const std::string &server, const std::string &vm);

 private:
  util::Fd socket_;
};

}  // namespace vsphere

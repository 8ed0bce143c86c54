// SPDX-License-Identifier: BSD-3-Clause
//
// How the plugin's snapshots are marked, and which run owns them: the one that has a snapshot's token
// (journal.hpp). The names, of a snapshot and of the computer in it, are for people.
#pragma once

#include <string>
#include <string_view>

#include "common/util/fd.hpp"

namespace vsphere {

// The name of the snapshots that are made on this computer.
std::string snapshot_name();

// What vSphere shows of a snapshot of this process: who made it, when, and the token.
std::string snapshot_description(const std::string &token);

// Whether a snapshot's name is one of this plugin's, on whatever computer.
bool is_of_plugin(std::string_view name);

// The token in a description; empty if there is none.
std::string_view token_of(std::string_view description);

// Held while a virtual machine has a snapshot of this run, so that a second run on this computer says at
// once who reads the machine, and so that VDDK does not end the access of the first run, which has the same
// identity. It does not decide who removes a snapshot. It is a Unix socket's name in the kernel's abstract
// namespace (unix(7)): the kernel frees the name when the last process that has inherited the socket ends,
// also after kill -9.
class RunLock {
 public:
  // `server` and `vm` (a moref) identify the machine. Throws util::Error EBUSY if another process has
  // the lock.
  RunLock(const std::string &server, const std::string &vm);

 private:
  util::Fd socket_;
};

}  // namespace vsphere

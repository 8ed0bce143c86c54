// SPDX-License-Identifier: BSD-3-Clause
//
// The plugin's own snapshot of a virtual machine, from its creation to its removal, and the removal of
// what an earlier run has left.
#pragma once

#include "common/util/log.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/api/tasks.hpp"

namespace vsphere {

// Removes snapshots that an earlier run on this computer has left. The RunLock of the machine must be
// held. Returns whether there was one. Throws util::Error EBUSY if there is a snapshot of another
// computer.
bool remove_leftovers(Client &client, TaskRunner &tasks, const VmInfo &vm, const util::Log &log);

// One thread at a time.
class Snapshot {
 public:
  // The client and the task runner must outlive it.
  Snapshot(Client &client, TaskRunner &tasks, const VmInfo &vm, const util::Log &log)
      : client_(client), tasks_(tasks), vm_(vm), log_(log) {}

  // Returns when it is made. Throws.
  void create(bool quiesce);
  // Returns when it is removed; also if create() failed and may have made it. Does nothing if there is
  // none. Throws.
  void remove();

  const Ref &ref() const { return ref_; }

 private:
  Client &client_;
  TaskRunner &tasks_;
  const VmInfo vm_;
  const util::Log log_;
  Ref ref_;                 // empty: none, or not known
  bool may_exist_ = false;  // its creation was begun
};

}  // namespace vsphere

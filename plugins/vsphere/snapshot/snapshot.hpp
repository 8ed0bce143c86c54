// SPDX-License-Identifier: BSD-3-Clause
//
// The plugin's own snapshot of a virtual machine, from its creation to its removal, and the removal of
// what an earlier run has left.
#pragma once

#include <string>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/api/tasks.hpp"
#include "plugins/vsphere/snapshot/journal.hpp"

namespace vsphere {

// Removes the snapshots whose tokens the journal has: an earlier run has left them. Returns whether there
// was one. All other snapshots are left alone; those of this plugin are named in a warning. Throws.
bool remove_leftovers(Client &client, TaskRunner &tasks, const VmInfo &vm, Journal *journal,
                      const util::Log &log);

// One thread at a time.
class Snapshot {
 public:
  // The client, the task runner and the journal must outlive it. Without a journal (null) a snapshot that a
  // killed run leaves stays.
  Snapshot(Client &client, TaskRunner &tasks, const VmInfo &vm, Journal *journal,
           const util::Log &log)
      : client_(client), tasks_(tasks), vm_(vm), journal_(journal), log_(log) {}

  // Returns when it is made. Its token is durable in the journal before the server is asked. Throws.
  void create(bool quiesce);
  // Returns when it is removed, and its token too; also if create() failed and may have made it. Does
  // nothing if there is none. Throws; then the token stays in the journal.
  void remove();

  const Ref &ref() const { return ref_; }
  const std::string &vm_name() const { return vm_.name; }

 private:
  Client &client_;
  TaskRunner &tasks_;
  bool remove_by_token();
  bool remove_when_found();
  void forget_tokens();

  const VmInfo vm_;
  Journal *const journal_;
  const util::Log log_;
  std::string token_;        // of the last creation
  Ref ref_;                  // empty: none, or not known
  bool may_exist_ = false;   // its creation was begun
  bool unanswered_ = false;  // the server has not said whether it creates it
};

}  // namespace vsphere

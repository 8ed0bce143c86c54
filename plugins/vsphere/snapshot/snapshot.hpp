// SPDX-License-Identifier: BSD-3-Clause
//
// The life of our snapshot of a virtual machine.
#pragma once

#include <string>
#include <vector>

#include "plugins/vsphere/api/client.hpp"
#include "plugins/vsphere/api/inventory.hpp"

namespace vsphere {

// The name of the snapshots made on this computer, by which a later run knows them: it says that
// the snapshot is ours, and which computer may still be reading it.
std::string snapshot_name();

// A snapshot of ours: made on this computer, made on another one, or somebody else's.
enum class Maker { us, our_kin, other };
Maker maker_of(const std::string &name, const std::string &our_name);

// The snapshot that snapshot= names, which we neither made nor remove: "current" or a moref. Throws
// util::Error ENOENT with what there is, EBUSY at one of ours: its maker removes it.
const SnapshotInfo &find_snapshot(const VmInfo &vm, const std::string &wanted);

// Removes what an earlier run on this computer left behind (the RunLock must be held). Throws
// util::Error EBUSY at a snapshot that is another computer's. Returns true if it removed one.
bool remove_leftovers(Client &client, const VmInfo &vm, const util::Log &log);

// Our snapshot from its creation to its removal. Not synchronised.
class Snapshot {
 public:
  Snapshot(Client &client, const VmInfo &vm, const util::Log &log)
      : client_(client), vm_(vm), log_(log) {}

  void create(bool quiesce);
  // Waits for the end of the removal. Nothing to do if there is none. Throws.
  void remove();

  const Ref &ref() const { return ref_; }

 private:
  Client &client_;
  const VmInfo vm_;
  const util::Log log_;
  Ref ref_;
  bool may_exist_ = false;  // creation was asked for; whether it was done may not be known
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/snapshot.hpp"

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"

namespace vsphere {

namespace {

constexpr const char *description =
    "Made by nbdkit-replicate to read the disks. It is removed when the copy ends. Remove it "
    "yourself "
    "only if no nbdkit reads from it any more.";

// The server may remove the snapshot without merging its files into the disks. Then the files stay and
// grow, and no list of snapshots shows them; so they are consolidated. An error of that is a warning:
// the snapshot has been removed.
void remove_and_merge(Client &client, TaskRunner &tasks, const VmInfo &vm, const Ref &snapshot,
                      const util::Log &log) {
  try {
    tasks.remove_snapshot(snapshot);
  } catch (const FaultError &e) {
    if (e.fault().kind != "ManagedObjectNotFound") throw;
    log.info("snapshot {} of {} is gone already", snapshot.value, vm.name);
  }
  try {
    if (!needs_consolidation(client, vm.ref)) return;
    log.info("the disks of {} need consolidation after the removal of snapshot {}", vm.name,
             snapshot.value);
    tasks.consolidate(vm.ref);
  } catch (const util::Error &e) {
    log.warning("{}; have the disks of {} consolidated in vSphere (Snapshots, Consolidate)",
                e.what(), vm.name);
  }
}

}  // namespace

bool remove_leftovers(Client &client, TaskRunner &tasks, const VmInfo &vm, const util::Log &log) {
  bool removed = false;
  std::string our_name = snapshot_name();
  for (const auto &snapshot : vm.snapshots) {
    const SnapshotOwner owner = owner_of(snapshot.name, our_name);
    if (owner == SnapshotOwner::other_host) {
      util::fail(EBUSY,
                 "virtual machine {} has the snapshot \"{}\" ({}): another computer may be reading "
                 "it; if not, remove that snapshot in vSphere",
                 vm.name, snapshot.name, snapshot.ref.value);
    }
    if (owner == SnapshotOwner::this_host) {
      log.warning("removing the snapshot {} that an earlier run left on {}", snapshot.ref.value,
                  vm.name);
      remove_and_merge(client, tasks, vm, snapshot.ref, log);
      removed = true;
    }
  }
  return removed;
}

void Snapshot::create(bool quiesce) {
  may_exist_ = true;
  ref_ = tasks_.create_snapshot(vm_.ref, snapshot_name(), description, quiesce);
  if (ref_.empty()) util::fail(EPROTO, "the server created a snapshot but does not tell which");
  log_.debug("snapshot {} of {}", ref_.value, vm_.name);
}

void Snapshot::remove() {
  if (!may_exist_) return;
  tasks_.finish();  // the creation, or a removal, that was interrupted
  if (!ref_.empty()) {
    remove_and_merge(client_, tasks_, vm_, ref_, log_);
    log_.debug("snapshot {} of {} is removed", ref_.value, vm_.name);
  } else {
    // The creation failed or its result is not known: the name tells which snapshot it is.
    remove_leftovers(client_, tasks_, describe_vm(client_, vm_.ref), log_);
  }
  ref_ = {};
  may_exist_ = false;
}

}  // namespace vsphere

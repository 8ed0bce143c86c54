// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/preconditions.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/snapshot/snapshot_disks.hpp"

namespace vsphere {

namespace {

std::string names_of(const std::vector<SnapshotInfo> &snapshots) {
  std::string list;
  for (const auto &snapshot : snapshots) {
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", snapshot.name);
  }
  return list;
}

// A leftover and the snapshot of a run that is alive look the same: its description says where to look.
void check_other_run(const VmInfo &vm, const SnapshotInfo &snapshot, const char *why) {
  if (!is_of_plugin(snapshot.name)) return;
  util::fail(
      EBUSY,
      "virtual machine {} has the snapshot {} (\"{}\") of another run of nbdkit: {}. It is "
      "removed when that run ends; if that run was killed, the next one with its since=@STATE "
      "removes it. Its description says which process made it: \"{}\". If that process does "
      "not run any more, remove the snapshot in vSphere",
      vm.name, snapshot.ref.value, snapshot.name, why, snapshot.description);
}

void check_other_runs(const VmInfo &vm, const char *why) {
  for (const auto &snapshot : vm.snapshots) check_other_run(vm, snapshot, why);
}

// All disks of the snapshot; none if it has been removed meanwhile.
std::vector<DiskInfo> disks_if_it_exists(Client &client, const Ref &snapshot) {
  try {
    return snapshot_disks(client, snapshot);
  } catch (const FaultError &e) {
    if (e.fault().kind != "ManagedObjectNotFound") throw;
    return {};
  }
}

}  // namespace

std::vector<DiskInfo> choose_disks(const VmInfo &vm, const std::string &wanted,
                                   const util::Log &log) {
  if (!wanted.empty()) {
    const DiskInfo &disk = choose_disk(vm, wanted);
    if (std::string why = why_unreadable(disk); !why.empty()) {
      util::fail(ENOTSUP, "disk {} (\"{}\") of virtual machine {} cannot be read: {}", disk.key,
                 disk.label, vm.name, why);
    }
    return {disk};
  }
  std::vector<DiskInfo> chosen;
  std::string reasons;
  for (const auto &disk : vm.disks) {
    std::string why = why_unreadable(disk);
    if (why.empty()) {
      chosen.push_back(disk);
      continue;
    }
    log.warning("disk {} (\"{}\") of virtual machine {} is left out: {}", disk.key, disk.label,
                vm.name, why);
    reasons = why;
  }
  if (chosen.empty()) {
    util::fail(ENOTSUP, "virtual machine {} has no disk that can be read{}{}", vm.name,
               reasons.empty() ? "" : ": ", reasons);
  }
  return chosen;
}

void check_vm(const VmInfo &vm, const std::vector<DiskInfo> &chosen, const Settings &settings) {
  if (vm.is_template) {
    util::fail(
        ENOTSUP,
        "virtual machine {} is a template, which cannot have snapshots: convert it to a virtual "
        "machine first",
        vm.name);
  }
  if (!vm.tracking_supported && settings.use_tracking) {
    util::fail(ENOTSUP,
               "virtual machine {} does not support changed block tracking: it needs hardware "
               "version 7 or later",
               vm.name);
  }
  if (!vm.tracking_enabled && !settings.enable_tracking && settings.use_tracking) {
    util::fail(EINVAL,
               "changed block tracking is off for virtual machine {}: enable-cbt=yes turns it on, "
               "cbt=off goes "
               "on without it",
               vm.name);
  }
  if (chosen.size() > 1 && is_of_one_disk(settings.since)) {
    util::fail(
        EINVAL,
        "since={}: virtual machine {} has {} disks, and this is for one of them; say which with "
        "disk=, or give @DIRECTORY, with a state file for each disk",
        settings.since, vm.name, chosen.size());
  }
}

void check_encryption(const VmInfo &vm, const std::vector<DiskInfo> &disks) {
  const bool all =
      std::all_of(disks.begin(), disks.end(), [](const DiskInfo &disk) { return disk.encrypted; });
  for (const auto &disk : disks) {
    if (!disk.encrypted) continue;
    util::fail(
        ENOTSUP,
        "disk {} (\"{}\") of virtual machine {} is encrypted, and only its ciphertext can be read "
        "over HTTPS: use transport=vddk{}",
        disk.key, disk.label, vm.name, all ? "" : ", or name one of the other disks with disk=");
  }
}

void check_snapshots(const VmInfo &vm, bool chains, bool turns_tracking_on) {
  if (!chains) {
    check_other_runs(vm,
                     "the disks are chains of files meanwhile, which cannot be read over HTTPS");
  }
  if (!vm.snapshots.empty() && (!chains || turns_tracking_on)) {
    util::fail(EBUSY, "virtual machine {} has snapshots ({}): {}", vm.name, names_of(vm.snapshots),
               chains
                   ? "change tracking is not turned on while there are snapshots; remove them first"
                   : "its disks are chains of files, which cannot be read over HTTPS; remove the "
                     "snapshots first, or read one of them with snapshot=current");
  }
}

// Tracking would miss the changes since an older snapshot.
void check_tracking_can_begin(const VmInfo &vm) {
  check_other_runs(vm, "changed block tracking cannot be turned on meanwhile");
  if (!vm.snapshots.empty()) {
    util::fail(EBUSY,
               "changed block tracking cannot be turned on while virtual machine {} has snapshots "
               "({}): remove them first",
               vm.name, names_of(vm.snapshots));
  }
}

void check_tracked_in_snapshots(Client &client, const VmInfo &vm,
                                const std::vector<DiskInfo> &chosen) {
  for (const auto &snapshot : vm.snapshots) {
    const std::vector<DiskInfo> disks =
        those_chosen(disks_if_it_exists(client, snapshot.ref), chosen);
    const DiskInfo *disk = find_untracked(disks);
    if (disk == nullptr) continue;
    check_other_run(vm, snapshot, "it is from before changed block tracking took effect");
    util::fail(
        EBUSY,
        "virtual machine {} has the snapshot {} (\"{}\"), in which disk {} (\"{}\") is not "
        "tracked: changed block tracking has to be turned on while a machine has no snapshots. "
        "Turn it off in vSphere, remove the snapshots, and run again with enable-cbt=yes",
        vm.name, snapshot.ref.value, snapshot.name, disk->key, disk->label);
  }
}

void check_chains(const VmInfo &vm, const std::vector<DiskInfo> &disks, bool chains,
                  bool before_snapshot) {
  if (chains) return;
  for (const auto &disk : disks) {
    if (!disk.has_parent) continue;
    util::fail(ENOTSUP,
               "disk {} of virtual machine {} is a chain of files, which cannot be read over "
               "HTTPS: {}",
               disk.key, vm.name,
               vm.needs_consolidation ? "its disks need consolidation (in vSphere: Snapshots, "
                                        "Consolidate)"
               : before_snapshot      ? "it is a linked clone, or its disks need consolidation"
                                      : "only the machine's oldest snapshot can be read");
  }
}

}  // namespace vsphere

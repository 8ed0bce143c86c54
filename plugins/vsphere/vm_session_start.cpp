// SPDX-License-Identifier: BSD-3-Clause
//
// The start of a VmSession: what happens between the login and the first read.
#include <cerrno>
#include <utility>

#include "plugins/vsphere/api/retry_fault.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/changes/tracking.hpp"
#include "plugins/vsphere/snapshot/preconditions.hpp"
#include "plugins/vsphere/snapshot/snapshot_disks.hpp"
#include "plugins/vsphere/vm_session.hpp"

namespace vsphere {

void VmSession::prepare() {
  const bool create = settings_.snapshot.empty();
  if (create) journal_ = open_journal(settings_.since);
  client_.login();
  signals_.emplace();  // from here on there is something to clean up
  const Ref found = find_vm(client_, settings_.vm);
  if (create) {
    // Taken before the machine's state is read, so that another run has finished changing it.
    const std::string &instance = client_.content().instance;
    lock_.emplace(instance.empty() ? settings_.endpoint.host : instance, found.value);
  }
  VmInfo vm = describe_vm(client_, found);
  std::vector<DiskInfo> chosen = choose_disks(vm, settings_.disk, log_);
  check_vm(vm, chosen, settings_);

  if (create && remove_leftovers(client_, tasks_, vm, journal(), log_)) {
    vm = describe_vm(client_, vm.ref);
    chosen = choose_disks(vm, settings_.disk, log_);
  }
  if (!transport_->decrypts()) check_encryption(vm, chosen);
  for (const auto &disk : chosen) {
    since_[disk.key] = since_of(settings_.since, vm.ref.value, disk.key);
  }
  if (create) {
    const bool chains = transport_->reads_chains();
    check_snapshots(vm, chains, !vm.tracking_enabled && settings_.use_tracking);
    check_chains(vm, chosen, chains, /*before_snapshot=*/true);
    if (settings_.use_tracking) check_tracked_in_snapshots(client_, vm, chosen);
  }
  if (!vm.tracking_enabled && settings_.use_tracking) turn_tracking_on(vm);

  const std::vector<DiskInfo> frozen =
      create ? create_snapshot(vm, chosen) : use_snapshot(vm, chosen);
  const std::string datacenter = datacenter_path(client_, vm.ref);
  for (const auto &disk : frozen) disks_.push_back(load(vm, disk, datacenter));
  watch(vm);
}

void VmSession::watch(const VmInfo &vm) {
  std::string gone = fmt::format(
      "the snapshot {} (\"{}\") of virtual machine {} is gone: somebody has removed it while it "
      "was "
      "read, and what was read last may be of a later instant. {}; the tasks of the machine in "
      "vSphere "
      "show who removes snapshots",
      snapshot_ref_.value, snapshot_name_, vm.name,
      settings_.snapshot.empty()
          ? "Run the same command again, it creates a new one"
          : "Name another one with snapshot=, or leave it out to create one");
  watch_.emplace([this, ref = vm.ref] { return has_snapshot(client_, ref, snapshot_ref_); },
                 std::move(gone), log_);
}

// Tracking takes effect when the machine is stunned. Creating a snapshot stuns it.
void VmSession::turn_tracking_on(VmInfo &vm) {
  check_tracking_can_begin(vm);
  log_.info("turning changed block tracking on for virtual machine {}", vm.name);
  tasks_.enable_change_tracking(vm.ref);
  snapshot_.emplace(client_, tasks_, vm, journal(), log_);
  snapshot_->create(/*quiesce=*/false);
  snapshot_->remove();
  vm.tracking_enabled = true;
}

// Returns the chosen disks as they are in somebody else's snapshot.
std::vector<DiskInfo> VmSession::use_snapshot(const VmInfo &vm,
                                              const std::vector<DiskInfo> &chosen) {
  const SnapshotInfo &snapshot = find_snapshot(vm, settings_.snapshot);
  snapshot_ref_ = snapshot.ref;
  snapshot_name_ = snapshot.name;
  std::vector<DiskInfo> disks = disks_in_snapshot(client_, snapshot_ref_, chosen);
  check_chains(vm, disks, transport_->reads_chains(), /*before_snapshot=*/false);
  if (const DiskInfo *disk = find_untracked(disks); disk != nullptr && settings_.use_tracking) {
    util::fail(EINVAL,
               "snapshot={}: disk {} (\"{}\") was not tracked when \"{}\" was made: leave out "
               "snapshot= to create a new one",
               settings_.snapshot, disk->key, disk->label, snapshot.name);
  }
  return disks;
}

// Returns the chosen disks as they are in a new snapshot. If tracking is on but not yet in effect for a
// disk, the snapshot has stunned the machine; with enable-cbt=yes a second snapshot is made, unless there is an older one.
std::vector<DiskInfo> VmSession::create_snapshot(const VmInfo &vm,
                                                 const std::vector<DiskInfo> &chosen) {
  snapshot_.emplace(client_, tasks_, vm, journal(), log_);
  snapshot_name_ = snapshot_name();
  for (bool last = !settings_.enable_tracking;; last = true) {
    signals_->check();
    snapshot_->create(settings_.quiesce);
    snapshot_ref_ = snapshot_->ref();
    std::vector<DiskInfo> disks = disks_in_snapshot(client_, snapshot_ref_, chosen);
    const DiskInfo *disk = find_untracked(disks);
    if (disk == nullptr || !settings_.use_tracking) {
      // Another run may have created one since the snapshots were looked at.
      check_chains(vm, disks, transport_->reads_chains(), /*before_snapshot=*/false);
      return disks;
    }
    if (last) {
      util::fail(
          EINVAL,
          "changed block tracking is on for virtual machine {}, but not in effect for disk {} "
          "(\"{}\"): {}",
          vm.name, disk->key, disk->label,
          settings_.enable_tracking ? "turn it off and on again in vSphere"
                                    : "enable-cbt=yes may bring it into effect");
    }
    check_tracking_can_begin(vm);
    snapshot_->remove();
  }
}

std::vector<extents::Range> VmSession::query_areas(const VmInfo &vm, const DiskInfo &info,
                                                   const std::string &change_id) {
  const SnapshotDisk disk{vm.ref, snapshot_ref_, info.key};
  return all_areas(info.capacity, [&](uint64_t start) {
    signals_->check();
    return retry_temporary_fault(settings_.retry, log_, [&] {
      return query_changed_areas(client_, disk, change_id, start);
    });
  });
}

Disk VmSession::load(const VmInfo &vm, const DiskInfo &info, const std::string &datacenter) {
  std::unique_ptr<DiskReader> reader =
      transport_->open({vm.ref.value, snapshot_ref_.value, datacenter, info});
  auto query = [&](const std::string &change_id) {
    if (change_id == "*") {
      if (auto allocated = reader->allocated()) return *std::move(allocated);
    }
    return query_areas(vm, info, change_id);
  };
  const bool tracked = settings_.use_tracking;
  LoadedMap loaded = tracked
                         ? load_map(info, since_.at(info.key), settings_.fail_on_reset, query, log_)
                         : untracked_map(info, reader->allocated());
  Disk disk{std::to_string(info.key),
            info,
            {"vsphere", vm.ref.value, info.key, info.capacity,
             loaded.since.empty() ? "full" : "delta", loaded.since, tracked ? info.change_id : "",
             /*confirm_by_connection=*/true},
            std::move(loaded.map),
            std::move(reader)};
  log_.info(
      "virtual machine {} ({}), disk {} (\"{}\"): {} bytes, allocated {}, changed {}, {} extents, "
      "transport {}",
      vm.name, vm.ref.value, info.key, info.label, info.capacity,
      loaded.allocated ? std::to_string(*loaded.allocated) : "unknown",
      loaded.changed ? std::to_string(*loaded.changed) : "unknown (full)", disk.map.count(),
      transport_->description());
  return disk;
}

}  // namespace vsphere

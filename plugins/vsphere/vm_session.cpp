// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/vm_session.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "plugins/vsphere/api/retry_fault.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/changes/tracking.hpp"
#include "plugins/vsphere/snapshot/preconditions.hpp"
#include "plugins/vsphere/snapshot/snapshot_disks.hpp"

namespace vsphere {

VmSession::VmSession(const Settings &settings, const util::Log &log)
    : settings_(settings),
      log_(log),
      client_(settings.endpoint, settings.credentials, settings.retry, log),
      tasks_(client_, settings.retry, log),
      transport_(make_transport(settings, log)) {}

void VmSession::start() {
  try {
    prepare();
    signals_->check();
  } catch (...) {
    stop();
    signals_.reset();
    throw;
  }
  signals_.reset();
}

void VmSession::pause(std::chrono::milliseconds time) const {
  if (signals_) return signals_->sleep(time);
  std::this_thread::sleep_for(time);
}

void VmSession::prepare() {
  client_.login();
  signals_.emplace();  // from here on there is something to clean up
  const Ref found = find_vm(client_, settings_.vm);
  const bool create = settings_.snapshot.empty();
  if (create) {
    // Taken before the machine's state is read, so that another run has finished changing it.
    const std::string &instance = client_.content().instance;
    lock_.emplace(instance.empty() ? settings_.endpoint.host : instance, found.value);
  }
  VmInfo vm = describe_vm(client_, found);
  std::vector<DiskInfo> chosen = choose_disks(vm, settings_.disk, log_);
  check_vm(vm, chosen, settings_);

  if (create && remove_leftovers(client_, tasks_, vm, log_)) {
    vm = describe_vm(client_, vm.ref);
    chosen = choose_disks(vm, settings_.disk, log_);
  }
  for (const auto &disk : chosen) {
    since_[disk.key] = since_of(settings_.since, vm.ref.value, disk.key);
  }
  if (create) {
    const bool chains = transport_->reads_chains();
    check_snapshots(vm, chains);
    check_chains(vm, chosen, chains, /*before_snapshot=*/true);
  }
  if (!vm.tracking_enabled) turn_tracking_on(vm);

  const std::vector<DiskInfo> frozen =
      create ? create_snapshot(vm, chosen) : use_snapshot(vm, chosen);
  const std::string datacenter = datacenter_path(client_, vm.ref);
  for (const auto &disk : frozen) disks_.push_back(load(vm, disk, datacenter));
}

// Tracking takes effect when the machine is stunned. Creating a snapshot stuns it.
void VmSession::turn_tracking_on(VmInfo &vm) {
  check_tracking_can_begin(vm);
  log_.info("turning changed block tracking on for virtual machine {}", vm.name);
  tasks_.enable_change_tracking(vm.ref);
  snapshot_.emplace(client_, tasks_, vm, log_);
  snapshot_->create(/*quiesce=*/false);
  snapshot_->remove();
  vm.tracking_enabled = true;
}

// Returns the chosen disks as they are in somebody else's snapshot.
std::vector<DiskInfo> VmSession::use_snapshot(const VmInfo &vm,
                                              const std::vector<DiskInfo> &chosen) {
  const SnapshotInfo &snapshot = find_snapshot(vm, settings_.snapshot);
  snapshot_ref_ = snapshot.ref;
  std::vector<DiskInfo> disks = disks_in_snapshot(client_, snapshot_ref_, chosen);
  check_chains(vm, disks, transport_->reads_chains(), /*before_snapshot=*/false);
  if (const DiskInfo *disk = find_untracked(disks)) {
    util::fail(EINVAL,
               "snapshot={}: disk {} (\"{}\") was not tracked when \"{}\" was made: leave out "
               "snapshot= to create a new one",
               settings_.snapshot, disk->key, disk->label, snapshot.name);
  }
  return disks;
}

// Returns the chosen disks as they are in a new snapshot. If tracking is on but not yet in effect for a
// disk, the snapshot has stunned the machine; with enable-cbt=yes a second snapshot is made.
std::vector<DiskInfo> VmSession::create_snapshot(const VmInfo &vm,
                                                 const std::vector<DiskInfo> &chosen) {
  snapshot_.emplace(client_, tasks_, vm, log_);
  for (bool last = !settings_.enable_tracking;; last = true) {
    signals_->check();
    snapshot_->create(settings_.quiesce);
    snapshot_ref_ = snapshot_->ref();
    std::vector<DiskInfo> disks = disks_in_snapshot(client_, snapshot_ref_, chosen);
    const DiskInfo *disk = find_untracked(disks);
    if (disk == nullptr) return disks;
    if (last) {
      util::fail(
          EINVAL,
          "changed block tracking is on for virtual machine {}, but not in effect for disk {} "
          "(\"{}\"): {}",
          vm.name, disk->key, disk->label,
          settings_.enable_tracking ? "turn it off and on again in vSphere"
                                    : "enable-cbt=yes may bring it into effect");
    }
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
  LoadedMap loaded = load_map(info, since_.at(info.key), settings_.fail_on_reset, query, log_);
  Disk disk{std::to_string(info.key),
            info,
            {"vsphere", vm.ref.value, info.key, info.capacity,
             loaded.since.empty() ? "full" : "delta", loaded.since, info.change_id},
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

const Disk &VmSession::disk(const std::string &name) const {
  if (name.empty()) return disks_.front();
  auto it = std::find_if(disks_.begin(), disks_.end(),
                         [&](const Disk &disk) { return disk.name == name; });
  if (it == disks_.end()) {
    util::fail(ENOENT, "no export \"{}\": the first one is \"{}\", nbdinfo --list shows all", name,
               disks_.front().name);
  }
  return *it;
}

void VmSession::disconnect() {
  client_.disconnect();
  for (const auto &disk : disks_) disk.reader->disconnect();
}

void VmSession::read(const Disk &disk, std::span<std::byte> buffer, uint64_t offset) {
  settings_.counters->count(buffer.size(), [&] { disk.reader->read(buffer, offset); });
}

void VmSession::stop() noexcept {
  if (signals_) signals_->disregard();
  auto attempt = [&](const char *what, auto &&step) {
    try {
      step();
    } catch (const std::exception &e) {
      log_.error("{}: {}", what, e.what());
    } catch (...) {
      log_.error("{}", what);
    }
  };
  if (std::string summary = settings_.counters->summary(); !summary.empty()) {
    log_.info("vm={}: {}", settings_.vm, summary);
  }
  // Before the snapshot is removed: the last calls of a transport refer to it.
  for (const auto &disk : disks_) disk.reader->disconnect();
  if (snapshot_) {
    attempt("the snapshot could not be removed (the next run removes it)",
            [&] { snapshot_->remove(); });
    snapshot_.reset();
  }
  attempt("could not log out", [&] { client_.logout(transport_->session()); });
  disconnect();
  lock_.reset();
}

}  // namespace vsphere

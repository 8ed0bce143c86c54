// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/vm_session.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "plugins/vsphere/changes/tracking.hpp"
#include "plugins/vsphere/snapshot/preconditions.hpp"

namespace vsphere {

namespace {

// The first that change tracking knows nothing of; null: all are tracked.
const DiskInfo *untracked(const std::vector<DiskInfo> &disks) {
  auto it = std::find_if(disks.begin(), disks.end(),
                         [](const DiskInfo &disk) { return disk.change_id.empty(); });
  return it == disks.end() ? nullptr : &*it;
}

}  // namespace

Source::Source(const Settings &settings, const util::Log &log)
    : settings_(settings),
      log_(log),
      client_(settings.endpoint, settings.credentials, settings.retry, log),
      transport_(make_transport(settings, log)) {}

void Source::start() {
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

void Source::pause(std::chrono::milliseconds time) const {
  if (signals_) return signals_->sleep(time);
  std::this_thread::sleep_for(time);
}

void Source::prepare() {
  client_.login();
  signals_.emplace();  // from here on there is something to clean up
  Ref found = find_vm(client_, settings_.vm);
  bool ours = settings_.snapshot.empty();
  if (ours) {  // before the machine is looked at: what another run of ours does to it is over then
    const std::string &instance = client_.content().instance;
    lock_.emplace(instance.empty() ? settings_.endpoint.host : instance, found.value);
  }
  VmInfo vm = describe_vm(client_, found);
  std::vector<DiskInfo> chosen = choose_disks(vm, settings_.disk, log_);
  check_machine(vm, chosen, settings_);

  if (ours && remove_leftovers(client_, vm, log_)) {
    vm = describe_vm(client_, vm.ref);
    chosen = choose_disks(vm, settings_.disk, log_);
  }
  for (const auto &disk : chosen) {
    since_[disk.key] = since_of(settings_.since, vm.ref.value, disk.key);
  }
  bool chains = transport_->reads_chains();
  if (ours) check_snapshots(vm, chains);
  if (ours) check_chains(vm, chosen, chains, /*ours=*/true);
  if (!vm.tracking_enabled) turn_tracking_on(vm);

  std::vector<DiskInfo> frozen = ours ? take_snapshot(vm, chosen) : use_snapshot(vm, chosen);
  std::string datacenter = datacenter_path(client_, vm.ref);
  for (const auto &disk : frozen) disks_.push_back(load(vm, disk, datacenter));
}

// It takes effect when the machine is stunned, which a snapshot does.
void Source::turn_tracking_on(VmInfo &vm) {
  check_tracking_can_begin(vm);
  log_.info("turning changed block tracking on for virtual machine {}", vm.name);
  client_.enable_change_tracking(vm.ref);
  snapshot_.emplace(client_, vm, log_);
  snapshot_->create(/*quiesce=*/false);
  snapshot_->remove();
  vm.tracking_enabled = true;
}

// Each chosen disk as it is in somebody else's snapshot.
std::vector<DiskInfo> Source::use_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen) {
  const SnapshotInfo &snapshot = find_snapshot(vm, settings_.snapshot);
  frozen_ = snapshot.ref;
  std::vector<DiskInfo> frozen = disks_in(frozen_, chosen);
  check_chains(vm, frozen, transport_->reads_chains(), /*ours=*/false);
  if (const DiskInfo *disk = untracked(frozen)) {
    util::fail(EINVAL,
               "snapshot={}: disk {} (\"{}\") was not tracked when \"{}\" was made: leave out "
               "snapshot= to have a new one made",
               settings_.snapshot, disk->key, disk->label, snapshot.name);
  }
  return frozen;
}

std::vector<DiskInfo> Source::disks_in(const Ref &snapshot, const std::vector<DiskInfo> &chosen) {
  std::vector<DiskInfo> all = snapshot_disks(client_, snapshot);
  std::vector<DiskInfo> found;
  for (const auto &disk : chosen) {
    auto it = std::find_if(all.begin(), all.end(),
                           [&](const DiskInfo &other) { return other.key == disk.key; });
    if (it == all.end()) {
      util::fail(ENOENT, "snapshot {} does not have disk {} (\"{}\")", snapshot.value, disk.key,
                 disk.label);
    }
    found.push_back(*it);
  }
  return found;
}

// Each chosen disk as it is in a snapshot of ours. A disk that is not tracked although tracking is on
// waits for a stun: the snapshot has been one, so with enable-cbt=yes a second one is tried.
std::vector<DiskInfo> Source::take_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen) {
  snapshot_.emplace(client_, vm, log_);
  for (bool last = !settings_.enable_tracking;; last = true) {
    signals_->check();
    snapshot_->create(settings_.quiesce);
    frozen_ = snapshot_->ref();
    std::vector<DiskInfo> frozen = disks_in(frozen_, chosen);
    const DiskInfo *disk = untracked(frozen);
    if (disk == nullptr) return frozen;
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

Disk Source::load(const VmInfo &vm, const DiskInfo &info, const std::string &datacenter) {
  std::unique_ptr<DiskReader> reader =
      transport_->open({vm.ref.value, frozen_.value, datacenter, info});
  auto query = [&](const std::string &change_id) {
    if (change_id == "*") {
      if (auto allocated = reader->allocated()) return *std::move(allocated);
    }
    return all_areas(info.capacity, [&](uint64_t start) {
      signals_->check();
      return patiently(settings_.retry, log_, [&] {
        return client_.query_changed_disk_areas(vm.ref, frozen_, info.key, start, change_id);
      });
    });
  };
  Tracked tracked = load_map(info, since_.at(info.key), settings_.fail_on_reset, query, log_);
  Disk disk{std::to_string(info.key),
            info,
            {"vsphere", vm.ref.value, info.key, info.capacity,
             tracked.since.empty() ? "full" : "delta", tracked.since, info.change_id},
            std::move(tracked.map),
            std::move(reader)};
  log_.info(
      "virtual machine {} ({}), disk {} (\"{}\"): {} bytes, allocated {}, changed {}, {} extents, "
      "transport {}",
      vm.name, vm.ref.value, info.key, info.label, info.capacity,
      tracked.allocated ? std::to_string(*tracked.allocated) : "unknown",
      tracked.changed ? std::to_string(*tracked.changed) : "unknown (full)", disk.map.count(),
      transport_->description());
  return disk;
}

void Source::disconnect() {
  client_.disconnect();
  for (const auto &disk : disks_) disk.reader->disconnect();
}

void Source::read(const Disk &disk, std::span<std::byte> buffer, uint64_t offset) {
  settings_.counters->count(buffer.size(), [&] { disk.reader->read(buffer, offset); });
}

void Source::stop() noexcept {
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
  if (std::string done = settings_.counters->summary(); !done.empty()) {
    log_.info("vm={}: {}", settings_.vm, done);
  }
  // A transport's last calls are about the snapshot, so they come before its removal.
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

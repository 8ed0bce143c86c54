// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/snapshot.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

namespace {

constexpr std::string_view prefix = "nbdkit-replicate on ";
constexpr const char *description =
    "Made by nbdkit-replicate to read the disks. It is removed when the copy ends; remove it by "
    "hand "
    "only if no nbdkit reads from it any more.";

// Removes it, and has its files merged into the disks where the removal has not done so: else they
// stay, unseen, and grow. What goes wrong after the removal is no failure of it.
void remove_and_merge(Client &client, const VmInfo &vm, const Ref &snapshot, const util::Log &log) {
  try {
    client.remove_snapshot(snapshot);
  } catch (const FaultError &e) {
    if (e.fault().kind != "ManagedObjectNotFound") throw;
    log.info("snapshot {} of {} is gone already", snapshot.value, vm.name);
  }
  try {
    if (!client.needs_consolidation(vm.ref)) return;
    log.info("the disks of {} need consolidation after the removal of snapshot {}", vm.name,
             snapshot.value);
    client.consolidate(vm.ref);
  } catch (const util::Error &e) {
    log.warning("{}; have the disks of {} consolidated in vSphere (Snapshots, Consolidate)",
                e.what(), vm.name);
  }
}

}  // namespace

std::string snapshot_name() {
  std::array<char, 65> host{};  // 64 bytes at most (gethostname(2)); vSphere allows 80 in all
  if (::gethostname(host.data(), host.size() - 1) != 0) util::fail_os(errno, "gethostname");
  return std::string(prefix) + host.data();
}

Maker maker_of(const std::string &name, const std::string &our_name) {
  if (name == our_name) return Maker::us;
  return name.starts_with(prefix) ? Maker::our_kin : Maker::other;
}

const SnapshotInfo &find_snapshot(const VmInfo &vm, const std::string &wanted) {
  std::string list;
  for (const auto &snapshot : vm.snapshots) {
    bool found =
        wanted == "current" ? snapshot.ref == vm.current_snapshot : snapshot.ref.value == wanted;
    if (found && maker_of(snapshot.name, snapshot_name()) != Maker::other) {
      util::fail(EBUSY,
                 "snapshot={}: {} (\"{}\") belongs to a run of nbdkit, which removes it; leave out "
                 "snapshot= to have one made",
                 wanted, snapshot.ref.value, snapshot.name);
    }
    if (found) return snapshot;
    list +=
        fmt::format("{}{} (\"{}\")", list.empty() ? "" : ", ", snapshot.ref.value, snapshot.name);
  }
  util::fail(ENOENT, "snapshot={}: virtual machine {} has no such snapshot; it has {}", wanted,
             vm.name, list.empty() ? "none" : list);
}

bool remove_leftovers(Client &client, const VmInfo &vm, const util::Log &log) {
  bool removed = false;
  std::string our_name = snapshot_name();
  for (const auto &snapshot : vm.snapshots) {
    Maker maker = maker_of(snapshot.name, our_name);
    if (maker == Maker::our_kin) {
      util::fail(EBUSY,
                 "virtual machine {} has the snapshot \"{}\" ({}): another computer may be reading "
                 "it; if not, remove that snapshot in vSphere",
                 vm.name, snapshot.name, snapshot.ref.value);
    }
    if (maker == Maker::us) {
      log.warning("removing the snapshot {} that an earlier run left on {}", snapshot.ref.value,
                  vm.name);
      remove_and_merge(client, vm, snapshot.ref, log);
      removed = true;
    }
  }
  return removed;
}

void Snapshot::create(bool quiesce) {
  may_exist_ = true;
  ref_ = client_.create_snapshot(vm_.ref, snapshot_name(), description, quiesce);
  if (ref_.empty()) util::fail(EPROTO, "the server created a snapshot but does not name it");
  log_.debug("snapshot {} of {}", ref_.value, vm_.name);
}

void Snapshot::remove() {
  if (!may_exist_) return;
  client_.finish_task();  // its creation, or a removal that was interrupted
  if (!ref_.empty()) {
    remove_and_merge(client_, vm_, ref_, log_);
    log_.debug("snapshot {} of {} is removed", ref_.value, vm_.name);
  } else {
    // Its creation has not told its name.
    remove_leftovers(client_, describe_vm(client_, vm_.ref), log_);
  }
  ref_ = {};
  may_exist_ = false;
}

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr std::string_view prefix = "nbdkit-replicate on ";
constexpr const char *description =
    "Made by nbdkit-replicate to read the disks. It is removed when the copy ends; remove it by "
    "hand "
    "only if no nbdkit reads from it any more.";

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
      client.remove_snapshot(snapshot.ref);
      removed = true;
    }
  }
  return removed;
}

void Snapshot::create(bool quiesce) {
  may_exist_ = true;
  ref_ = client_.create_snapshot(vm_, snapshot_name(), description, quiesce);
  if (ref_.empty()) util::fail(EPROTO, "the server created a snapshot but does not name it");
  log_.debug("snapshot {} of {}", ref_.value, vm_name_);
}

void Snapshot::remove() {
  if (!may_exist_) return;
  if (!ref_.empty()) {
    client_.remove_snapshot(ref_);
    log_.debug("snapshot {} of {} is removed", ref_.value, vm_name_);
  } else {
    // The answer to its creation was lost.
    remove_leftovers(client_, describe_vm(client_, vm_), log_);
  }
  ref_ = {};
  may_exist_ = false;
}

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/snapshot_disks.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"

namespace vsphere {

const SnapshotInfo &find_snapshot(const VmInfo &vm, const std::string &wanted) {
  std::string list;
  for (const auto &snapshot : vm.snapshots) {
    bool found =
        wanted == "current" ? snapshot.ref == vm.current_snapshot : snapshot.ref.value == wanted;
    if (found && is_of_plugin(snapshot.name)) {
      util::fail(EBUSY,
                 "snapshot={}: {} (\"{}\") belongs to a run of nbdkit, which removes it; leave out "
                 "snapshot= to create a new one",
                 wanted, snapshot.ref.value, snapshot.name);
    }
    if (found) return snapshot;
    list +=
        fmt::format("{}{} (\"{}\")", list.empty() ? "" : ", ", snapshot.ref.value, snapshot.name);
  }
  util::fail(ENOENT, "snapshot={}: virtual machine {} has no such snapshot; it has {}", wanted,
             vm.name, list.empty() ? "none" : list);
}

std::vector<DiskInfo> disks_in_snapshot(Client &client, const Ref &snapshot,
                                        const std::vector<DiskInfo> &chosen) {
  std::vector<DiskInfo> all = snapshot_disks(client, snapshot);
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

std::vector<DiskInfo> those_chosen(std::vector<DiskInfo> disks,
                                   const std::vector<DiskInfo> &chosen) {
  std::erase_if(disks, [&](const DiskInfo &disk) {
    return std::none_of(chosen.begin(), chosen.end(),
                        [&](const DiskInfo &one) { return one.key == disk.key; });
  });
  return disks;
}

const DiskInfo *find_untracked(const std::vector<DiskInfo> &disks) {
  auto it = std::find_if(disks.begin(), disks.end(),
                         [](const DiskInfo &disk) { return disk.change_id.empty(); });
  return it == disks.end() ? nullptr : &*it;
}

}  // namespace vsphere

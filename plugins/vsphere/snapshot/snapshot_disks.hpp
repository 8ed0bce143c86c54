// SPDX-License-Identifier: BSD-3-Clause
//
// The snapshot that is read, and the disks in it.
#pragma once

#include <string>
#include <vector>

#include "plugins/vsphere/api/inventory.hpp"

namespace vsphere {

// The snapshot of somebody else that snapshot= names; `wanted` is "current" or a moref. Throws
// util::Error ENOENT, with a list of the snapshots, if there is none; EBUSY if a run of this plugin made
// it, since that run removes it.
const SnapshotInfo &find_snapshot(const VmInfo &vm, const std::string &wanted);

// The chosen disks as they are in a snapshot, in the same order. Throws util::Error ENOENT, and as
// Client::call does.
std::vector<DiskInfo> disks_in_snapshot(Client &client, const Ref &snapshot,
                                        const std::vector<DiskInfo> &chosen);

// Those of a snapshot's disks that are chosen: a disk that was added later is not among them.
std::vector<DiskInfo> those_chosen(std::vector<DiskInfo> disks,
                                   const std::vector<DiskInfo> &chosen);

// The first of a snapshot's disks that is not tracked; null if all are.
const DiskInfo *find_untracked(const std::vector<DiskInfo> &disks);

}  // namespace vsphere

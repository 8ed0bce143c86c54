// SPDX-License-Identifier: BSD-3-Clause
//
// What a virtual machine and its disks must be like to be read. What is in the way is told as
// util::Error, with what to do about it.
#pragma once

#include <string>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/settings.hpp"

namespace vsphere {

// The disks to serve, in the order of the devices: the one that is wanted or, if that is empty, all
// that can be read; of the others it warns.
std::vector<DiskInfo> choose_disks(const VmInfo &vm, const std::string &wanted,
                                   const util::Log &log);

// That the machine can have snapshots and change tracking, and that the settings go with it.
void check_machine(const VmInfo &vm, const std::vector<DiskInfo> &chosen, const Settings &settings);

// That the snapshots it has, of others, are not in the way of one of ours. `chains`: whether disks
// that are chains of files can be read.
void check_snapshots(const VmInfo &vm, bool chains);

// That change tracking, which is off, can be turned on.
void check_tracking_can_begin(const VmInfo &vm);

// That the disks are single files, if chains cannot be read. `ours`: as they are now, before a
// snapshot of ours; else as they are in somebody else's.
void check_chains(const VmInfo &vm, const std::vector<DiskInfo> &disks, bool chains, bool ours);

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// Checks before the plugin takes a snapshot or turns change tracking on. Each throws util::Error, whose
// message says what is in the way and what to do about it.
#pragma once

#include <string>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/settings.hpp"

namespace vsphere {

// The disks to serve, in the order of the devices: the wanted one; or, if `wanted` is empty, all that
// can be read. The others are named in warnings.
std::vector<DiskInfo> choose_disks(const VmInfo &vm, const std::string &wanted,
                                   const util::Log &log);

// The machine can have snapshots and change tracking, and the settings are possible for it.
void check_vm(const VmInfo &vm, const std::vector<DiskInfo> &chosen, const Settings &settings);

// None of the disks is encrypted. For a transport that does not decrypt them.
void check_encryption(const VmInfo &vm, const std::vector<DiskInfo> &disks);

// The machine's snapshots, which are not of this run, allow another one. `chains` here and below: whether
// the transport can read disks that are chains of files. turns_tracking_on: change tracking is off, and will be turned on.
void check_snapshots(const VmInfo &vm, bool chains, bool turns_tracking_on);

// Change tracking, which is off, or on but not in effect, can begin. `vm` is as it was before this run's snapshot.
void check_tracking_can_begin(const VmInfo &vm);

// The chosen disks are tracked in each snapshot of the machine that has them: else tracking has begun over an older snapshot,
// or would. Throws as Client::call does, too.
void check_tracked_in_snapshots(Client &client, const VmInfo &vm,
                                const std::vector<DiskInfo> &chosen);

// The disks are single files, if `chains` is false. `before_snapshot`: they are the machine's, which a
// snapshot of this plugin will freeze; else they are those of a snapshot.
void check_chains(const VmInfo &vm, const std::vector<DiskInfo> &disks, bool chains,
                  bool before_snapshot);

}  // namespace vsphere

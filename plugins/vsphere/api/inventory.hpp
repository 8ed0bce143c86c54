// SPDX-License-Identifier: BSD-3-Clause
//
// Finding a virtual machine and what must be known of it before its disks can be read.
#pragma once

#include <string>
#include <vector>

#include "plugins/vsphere/api/client.hpp"
#include "plugins/vsphere/api/disk_info.hpp"

namespace vsphere {

struct SnapshotInfo {
  Ref ref;
  std::string name;
};

struct VmInfo {
  Ref ref;
  std::string name;
  bool is_template = false;
  bool tracking_supported = false;
  bool tracking_enabled = false;
  bool needs_consolidation = false;     // a removed snapshot's files are still there
  std::vector<SnapshotInfo> snapshots;  // the whole tree, parents before children
  Ref current_snapshot;                 // empty: none
  std::vector<DiskInfo> disks;          // in the order of the devices
};

// `wanted`: "moref=vm-42", "uuid=...", an inventory path (it has a slash) or a name. Throws
// util::Error ENOENT if there is none, EINVAL with their paths if a name fits several.
Ref find_vm(Client &client, const std::string &wanted);

VmInfo describe_vm(Client &client, const Ref &vm);

// The disks of a snapshot, as they were.
std::vector<DiskInfo> snapshot_disks(Client &client, const Ref &snapshot);

// The inventory path of an object without the leading slash and the root folder:
// "Europe/DC0/vm/web1".
std::string inventory_path(Client &client, const Ref &object);
// That of the datacenter it is in.
std::string datacenter_path(Client &client, const Ref &object);

// `wanted`: a device key, a place from 0, or a label. Throws util::Error ENOENT with what there is.
const DiskInfo &choose_disk(const VmInfo &vm, const std::string &wanted);

// Of a VirtualMachineSnapshotInfo.
std::vector<SnapshotInfo> parse_snapshots(pugi::xml_node info);

}  // namespace vsphere

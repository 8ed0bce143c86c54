// SPDX-License-Identifier: BSD-3-Clause
//
// The inventory: finding a virtual machine, and its description.
#pragma once

#include <string>
#include <vector>

#include "plugins/vsphere/api/disk_info.hpp"
#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

class Client;

struct SnapshotInfo {
  Ref ref;
  std::string name;
  std::string description;
};

struct VmInfo {
  Ref ref;
  std::string name;
  bool is_template = false;
  bool tracking_supported = false;
  bool tracking_enabled = false;
  bool needs_consolidation = false;     // files of removed snapshots are not merged yet
  std::vector<SnapshotInfo> snapshots;  // the whole tree, parents before children
  Ref current_snapshot;                 // empty: none
  std::vector<DiskInfo> disks;          // in the server's order
};

// Functions with a Client throw as Client::call does.

// `wanted` is "moref=vm-42", "uuid=...", an inventory path (it has a slash) or a name. Throws
// util::Error ENOENT if there is no such machine; EINVAL, with the paths, if several have the name.
Ref find_vm(Client &client, const std::string &wanted);

VmInfo describe_vm(Client &client, const Ref &vm);

// Whether files of removed snapshots are not merged into the disks yet.
bool needs_consolidation(Client &client, const Ref &vm);

// Whether the machine still has the snapshot, anywhere in its tree. Throws if the server does not answer
// that, as Client::call does, and util::Error EPROTO.
bool has_snapshot(Client &client, const Ref &vm, const Ref &snapshot);

// All disks of a snapshot, as they were when it was made.
std::vector<DiskInfo> snapshot_disks(Client &client, const Ref &snapshot);

// The inventory path of the datacenter that the object is in, "Europe/DC0", without a leading slash and
// the root folder.
std::string datacenter_path(Client &client, const Ref &object);

// `wanted` is a device key, a position from 0, or a label. Throws util::Error ENOENT, with a list of the
// disks.
const DiskInfo &choose_disk(const VmInfo &vm, const std::string &wanted);

// Of a VirtualMachineSnapshotInfo.
std::vector<SnapshotInfo> parse_snapshots(pugi::xml_node info);

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// The disks of a virtual machine, as the API describes them among its devices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

// A VirtualDisk of a virtual machine, or of one of its snapshots.
struct DiskInfo {
  int64_t key = 0;
  std::string label;      // "Hard disk 1"
  uint64_t capacity = 0;  // bytes
  std::string backing;    // the type of the backing: "VirtualDiskFlatVer2BackingInfo"
  std::string file;       // "[datastore] directory/disk.vmdk"
  Ref datastore;          // that the file is on; empty if the server does not tell
  std::string mode;       // "persistent", "independent_persistent" ...
  std::string rdm_mode;   // of a raw device mapping: "physicalMode", "virtualMode"
  std::string sharing;    // "sharingMultiWriter" or not; may be empty
  std::string bus;        // of its controller: "noSharing", "physicalSharing"; empty if it has none
  std::string change_id;  // of a snapshot's disk, if it is tracked
  bool has_parent = false;
};

// Of the devices in an ArrayOfVirtualDevice. Throws util::Error EPROTO.
std::vector<DiskInfo> parse_disks(pugi::xml_node devices);

// Why the disk cannot be read by this plugin, as a sentence; empty if it can.
std::string unreadable_because(const DiskInfo &disk);

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// The disks among the devices of a virtual machine or a snapshot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

// A VirtualDisk and its backing, as the vSphere API reference names them.
struct DiskInfo {
  int64_t key = 0;
  std::string label;        // "Hard disk 1"
  uint64_t capacity = 0;    // bytes
  std::string backing;      // the type of the backing: "VirtualDiskFlatVer2BackingInfo"
  std::string file;         // "[datastore] directory/disk.vmdk"
  Ref datastore;            // where the file is; empty if the server does not say
  std::string mode;         // "persistent", "independent_persistent" ...
  std::string rdm_mode;     // of a raw device mapping: "physicalMode", "virtualMode"
  std::string sharing;      // "sharingMultiWriter" or not; may be empty
  std::string bus;          // sharing of the controller's SCSI bus: "noSharing"; may be empty
  std::string change_id;    // in a snapshot; empty if the disk is not tracked
  bool encrypted = false;   // by vSphere: its file has the ciphertext
  bool has_parent = false;  // it is a chain of files
};

// Of the devices in an ArrayOfVirtualDevice. Throws util::Error EPROTO.
std::vector<DiskInfo> parse_disks(pugi::xml_node devices);

// Why this plugin cannot read the disk, as a sentence; empty if it can.
std::string why_unreadable(const DiskInfo &disk);

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// The VMDK descriptor: a small text file that names the file with the data (VMware "Virtual Disk
// Format", "The Descriptor File").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vsphere {

// The one extent of a flat disk.
struct FlatExtent {
  std::string file;   // in the directory of the descriptor: "disk-flat.vmdk"
  uint64_t size = 0;  // bytes
};

// Parses a descriptor of a disk that is one flat file. `origin`, the datastore path of the
// descriptor, is for messages. Throws util::Error: EINVAL if the text is not a descriptor, ENOTSUP
// for all other kinds of disks (sparse and split ones, links of a chain, objects of vSAN and vVols,
// raw devices, encrypted ones and others with an IO filter).
FlatExtent parse_vmdk_descriptor(std::string_view text, const std::string &origin);

}  // namespace vsphere

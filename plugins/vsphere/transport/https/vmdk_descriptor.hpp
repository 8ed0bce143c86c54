// SPDX-License-Identifier: BSD-3-Clause
//
// The descriptor of a VMDK: the small text file that names the file with the bytes (VMware "Virtual
// Disk Format", "The Descriptor File").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vsphere {

// The one extent of a flat disk.
struct FlatExtent {
  std::string file;   // beside the descriptor: "disk-flat.vmdk"
  uint64_t size = 0;  // bytes
};

// Throws util::Error, naming `origin` (the descriptor's datastore path), for what cannot be read as
// one flat file: EINVAL for text that is no descriptor, ENOTSUP for other kinds of disks - sparse
// or split ones, links of a chain, objects of vSAN and vVols, raw devices.
FlatExtent parse_descriptor(std::string_view text, const std::string &origin);

}  // namespace vsphere

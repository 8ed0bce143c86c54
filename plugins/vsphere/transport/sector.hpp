// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace vsphere {

// The unit of VMDK descriptors and of VDDK's requests; a disk has a whole number of them.
inline constexpr uint64_t sector_size = 512;  // bytes

}  // namespace vsphere

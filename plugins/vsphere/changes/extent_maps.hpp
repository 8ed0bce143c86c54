// SPDX-License-Identifier: BSD-3-Clause
//
// The extents of a disk, from its allocated and changed areas. The areas that the functions take are
// in order, do not overlap, and are within the disk, as all_areas() returns them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/frozen_map.hpp"

namespace vsphere {

// The allocated areas of a disk; nothing if they are not known.
using Allocated = std::optional<std::vector<extents::Range>>;

// Both functions throw util::Error EPROTO for a capacity (bytes) that no disk has.

// The whole disk: what is allocated is data, everything else a hole that reads as zeroes. If the
// allocation is not known everything is data.
extents::FrozenMap full_map(uint64_t capacity, const Allocated &allocated);

// What has changed is data if it is allocated, else a hole that reads as zeroes. What has not changed
// is a hole that is not said to be zero: "not in this layer". If the allocation is not known everything
// that has changed is data.
extents::FrozenMap delta_map(uint64_t capacity, const std::vector<extents::Range> &changed,
                             const Allocated &allocated);

uint64_t total_length(const std::vector<extents::Range> &ranges);  // bytes

}  // namespace vsphere

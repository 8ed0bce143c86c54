// SPDX-License-Identifier: BSD-3-Clause
//
// The extents that clients see with coalesce-extents=merged.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

// The extents with every hole that has data on both sides and is no longer than `gap` bytes made part
// of that data. Each extent must begin where the one before it ends.
std::vector<extents::Extent> merge_gaps(std::span<const extents::Extent> extents, uint64_t gap);

}  // namespace coalesce

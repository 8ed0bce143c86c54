// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>

#include "common/extents/extent.hpp"

namespace delta {

// What the layer below says of a block.
enum class BlockKind { data, zero, unchanged };

// extents: of the layer below, in order, without gaps. What they say of a block, if they say one thing of all
// of it; else `data`. tracked: a hole that is not zero has not changed.
BlockKind kind_of(std::span<const extents::Extent> extents, extents::Range block, bool tracked);

}  // namespace delta

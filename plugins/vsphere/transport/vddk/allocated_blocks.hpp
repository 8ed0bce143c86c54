// SPDX-License-Identifier: BSD-3-Clause
//
// VixDiskLib_QueryAllocatedBlocks: how to ask about a whole disk, and what to make of the answers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

// The calls that cover a disk, in sectors: each a whole number of chunks and within the disk, for
// VDDK refuses all else. What is left behind the last whole chunk cannot be asked about: the tail.
struct Questions {
  std::vector<Block> calls;
  Block tail;
};
// `chunks`: the most in one call.
Questions questions(uint64_t disk_sectors, uint64_t chunk, uint64_t chunks);

// Adds an answer's blocks to `ranges` as bytes, joined to the one before where they touch. Throws
// util::Error EPROTO if they are not in order, or not within what was asked.
void add_blocks(std::vector<extents::Range> &ranges, std::span<const Block> blocks, Block asked);

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
//
// VixDiskLib_QueryAllocatedBlocks: what is allocated on a whole disk.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

class Worker;

// Returns the allocated ranges of a disk of `capacity` bytes, in order. Throws util::Error if VDDK
// cannot list them, and TransportError if the helper process ends.
std::vector<extents::Range> query_allocated_blocks(Worker &worker, uint64_t capacity);

// The calls that cover a disk, in sectors. VDDK accepts only whole numbers of chunks within the
// disk; the tail, what is left after the last whole chunk, cannot be queried.
struct AllocationQueries {
  std::vector<Block> calls;
  Block tail;
};
// `chunks` is the maximum of one call.
AllocationQueries plan_queries(uint64_t disk_sectors, uint64_t chunk, uint64_t chunks);

// Appends the blocks that a call returned to `ranges`, in bytes; adjacent ranges are merged. Throws
// util::Error EPROTO if the blocks are out of order, or not within `asked`.
void add_blocks(std::vector<extents::Range> &ranges, std::span<const Block> blocks, Block asked);

}  // namespace vsphere::vddk

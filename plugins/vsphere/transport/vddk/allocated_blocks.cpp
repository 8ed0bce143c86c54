// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

Questions questions(uint64_t disk_sectors, uint64_t chunk, uint64_t chunks) {
  Questions q;
  const uint64_t whole = disk_sectors / chunk * chunk;
  for (uint64_t at = 0; at < whole;) {
    uint64_t length = std::min(whole - at, chunk * chunks);
    q.calls.push_back({at, length});
    at += length;
  }
  q.tail = {whole, disk_sectors - whole};
  return q;
}

void add_blocks(std::vector<extents::Range> &ranges, std::span<const Block> blocks, Block asked) {
  uint64_t at = asked.offset;
  const uint64_t end = asked.offset + asked.length;
  for (const Block &block : blocks) {
    if (block.offset < at || block.offset >= end || block.length == 0 ||
        block.length > end - block.offset) {
      util::fail(EPROTO,
                 "VixDiskLib_QueryAllocatedBlocks tells of {} sectors at {}, which is not in order "
                 "or not within the {} sectors at {} that were asked for",
                 block.length, block.offset, asked.length, asked.offset);
    }
    at = block.offset + block.length;
    extents::Range range{block.offset * sector_size, block.length * sector_size};
    if (!ranges.empty() && ranges.back().end() == range.offset) {
      ranges.back().length += range.length;
    } else {
      ranges.push_back(range);
    }
  }
}

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

namespace vsphere::vddk {

namespace {

constexpr uint64_t chunks_in_a_call =
    slot_size / sizeof(Block);  // so that every answer fits a slot
static_assert(chunks_in_a_call <= max_chunk_number);

std::vector<Block> query(Worker::Slot &slot, Block asked) {
  slot.query(asked.offset, asked.length, min_chunk_size);
  Done done = slot.wait();
  if (done.code != vix_ok) util::fail(EIO, "{} (error {})", done.text, done.code);
  if (done.count > chunks_in_a_call) {
    util::fail(EPROTO, "VixDiskLib_QueryAllocatedBlocks returned {} blocks at once", done.count);
  }
  std::vector<Block> blocks(done.count);
  if (done.count > 0) {
    std::memcpy(blocks.data(), slot.memory().data(), done.count * sizeof(Block));
  }
  return blocks;
}

}  // namespace

std::vector<extents::Range> query_allocated_blocks(Worker &worker, uint64_t capacity) {
  if (!worker.can_query()) util::fail(ENOTSUP, "this VDDK has no QueryAllocatedBlocks");
  std::vector<extents::Range> ranges;
  std::optional<Worker::Slot> slot = worker.acquire(/*may_wait=*/true);
  const auto [calls, tail] = plan_queries(capacity / sector_size, min_chunk_size, chunks_in_a_call);
  for (const Block &asked : calls) add_blocks(ranges, query(*slot, asked), asked);
  if (tail.length > 0) add_blocks(ranges, {&tail, 1}, tail);  // not known, so allocated
  return ranges;
}

AllocationQueries plan_queries(uint64_t disk_sectors, uint64_t chunk, uint64_t chunks) {
  AllocationQueries queries;
  const uint64_t whole = disk_sectors / chunk * chunk;
  for (uint64_t at = 0; at < whole;) {
    uint64_t length = std::min(whole - at, chunk * chunks);
    queries.calls.push_back({at, length});
    at += length;
  }
  queries.tail = {whole, disk_sectors - whole};
  return queries;
}

void add_blocks(std::vector<extents::Range> &ranges, std::span<const Block> blocks, Block asked) {
  uint64_t at = asked.offset;
  const uint64_t end = asked.offset + asked.length;
  for (const Block &block : blocks) {
    if (block.offset < at || block.offset >= end || block.length == 0 ||
        block.length > end - block.offset) {
      util::fail(EPROTO,
                 "VixDiskLib_QueryAllocatedBlocks returned {} sectors at {}: out of order, or not "
                 "within the {} sectors at {} that were queried",
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

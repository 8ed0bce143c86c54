// SPDX-License-Identifier: BSD-3-Clause
//
// Reading a disk: the source's or the destination's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace apply {

// Bytes of a disk, and where they are to be put.
struct DiskRead {
  uint64_t offset;
  std::span<std::byte> buffer;
};

// Used by one thread at a time.
class DiskBytes {
 public:
  virtual ~DiskBytes() = default;
  // Does all of the reads, at the same time if that is faster. They may begin and end anywhere;
  // each is of 1 byte to 1 MiB. Throws if one fails.
  virtual void read(std::span<const DiskRead> reads) = 0;
};

// For each range whether the disk holds zeroes there. At most 16 ranges, each of 1 byte to 1 MiB,
// which are read at the same time.
std::vector<bool> are_zero(DiskBytes &disk, std::span<const extents::Range> ranges);

// The smallest range of whole blocks that holds the read. At the end of a disk that ends within a
// block it ends there too.
extents::Range whole_blocks(const DiskRead &read, uint64_t block, uint64_t disk_size);

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// Blocks of a disk, of digests::block_bytes each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/digests/digest.hpp"
#include "common/extents/extent.hpp"

namespace apply {

// Blocks in order: [first, end).
struct BlockRange {
  uint64_t first, end;
};

// The blocks that a range of bytes touches. It must not be empty.
inline BlockRange blocks_of(extents::Range range) {
  return {range.offset / digests::block_bytes, (range.end() - 1) / digests::block_bytes + 1};
}

// A block of a disk of `size` bytes; empty beyond its end.
inline extents::Range block_of(uint64_t block, uint64_t size) {
  const uint64_t offset = std::min(block * digests::block_bytes, size);
  return {offset, std::min(digests::block_bytes, size - offset)};
}

}  // namespace apply

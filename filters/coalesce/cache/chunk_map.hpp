// SPDX-License-Identifier: BSD-3-Clause
//
// Chunks by their place on the disk.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "filters/coalesce/cache/chunk.hpp"

namespace coalesce {

// No two chunks overlap: invalidating a write looks for the chunks at its place, and would miss one
// that lies below another. Not synchronised.
class ChunkMap {
 public:
  // Throws std::logic_error if the chunk overlaps another.
  void insert(const ChunkPtr &chunk);
  // False if the chunk is not in the map.
  bool erase(const ChunkPtr &chunk);
  bool empty() const { return chunks_.empty(); }

  // A part of a range, with the chunk that covers it or nullptr.
  struct Part {
    extents::Range range;
    ChunkPtr chunk;
  };
  // The whole range, in order.
  std::vector<Part> split(extents::Range range) const;

  // The chunks that overlap the range, in order.
  std::vector<ChunkPtr> overlapping(extents::Range range) const;

 private:
  std::map<uint64_t, ChunkPtr>::const_iterator first_from(uint64_t offset) const;
  std::map<uint64_t, ChunkPtr> chunks_;
};

}  // namespace coalesce

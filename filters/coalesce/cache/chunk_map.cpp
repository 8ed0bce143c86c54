// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/cache/chunk_map.hpp"

#include <iterator>
#include <stdexcept>

namespace coalesce {

void ChunkMap::insert(const ChunkPtr &chunk) {
  if (!overlapping(chunk->range).empty()) throw std::logic_error("coalesce: chunks overlap");
  chunks_.emplace(chunk->range.offset, chunk);
}

bool ChunkMap::erase(const ChunkPtr &chunk) {
  auto it = chunks_.find(chunk->range.offset);
  if (it == chunks_.end() || it->second != chunk) return false;
  chunks_.erase(it);
  return true;
}

std::map<uint64_t, ChunkPtr>::const_iterator ChunkMap::first_from(uint64_t offset) const {
  auto it = chunks_.upper_bound(offset);
  if (it != chunks_.begin() && std::prev(it)->second->range.end() > offset) --it;
  return it;
}

std::vector<ChunkMap::Part> ChunkMap::split(extents::Range range) const {
  std::vector<Part> parts;
  uint64_t at = range.offset;
  for (auto it = first_from(at); it != chunks_.end() && it->first < range.end(); ++it) {
    extents::Range covered = extents::intersect(it->second->range, range);
    if (covered.offset > at) parts.push_back({{at, covered.offset - at}, nullptr});
    parts.push_back({covered, it->second});
    at = covered.end();
  }
  if (at < range.end()) parts.push_back({{at, range.end() - at}, nullptr});
  return parts;
}

std::vector<ChunkPtr> ChunkMap::overlapping(extents::Range range) const {
  std::vector<ChunkPtr> list;
  for (auto it = first_from(range.offset); it != chunks_.end() && it->first < range.end(); ++it) {
    list.push_back(it->second);
  }
  return list;
}

}  // namespace coalesce

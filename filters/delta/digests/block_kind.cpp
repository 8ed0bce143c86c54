// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/digests/block_kind.hpp"

#include <algorithm>
#include <cstdint>

namespace delta {

BlockKind kind_of(std::span<const extents::Extent> extents, extents::Range block, bool tracked) {
  auto e = std::upper_bound(
      extents.begin(), extents.end(), block.offset,
      [](uint64_t offset, const extents::Extent &extent) { return offset < extent.end(); });
  bool zero = true, unchanged = tracked;
  uint64_t at = block.offset;
  for (; e != extents.end() && at < block.end(); ++e) {
    zero = zero && (e->type & extents::zero) != 0;
    unchanged = unchanged && e->type == extents::hole;
    at = e->end();
  }
  if (at < block.end()) return BlockKind::data;
  if (unchanged) return BlockKind::unchanged;
  return zero ? BlockKind::zero : BlockKind::data;
}

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/sector_extents.hpp"

#include <algorithm>

namespace delta {

void SectorExtents::feed(extents::Extent extent) {
  if (part_) {
    uint64_t rest = std::min(extent.length, sector - part_->length);
    if (part_->type != extent.type) part_->type = extents::data;
    part_->length += rest;
    extent = {extent.offset + rest, extent.length - rest, extent.type};
    if (part_->length < sector) return;
    add(*std::exchange(part_, std::nullopt));
  }
  uint64_t tail = extent.length % sector;
  if (extent.length > tail) add({extent.offset, extent.length - tail, extent.type});
  if (tail > 0) part_ = extents::Extent{extent.end() - tail, tail, extent.type};
}

void SectorExtents::end_of_disk() {
  if (part_) add(*std::exchange(part_, std::nullopt));
}

void SectorExtents::add(const extents::Extent &extent) {
  added_ = true;
  add_(extent);
}

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/disk/destination_bytes.hpp"

#include <algorithm>

namespace apply {

void DestinationBytes::read(std::span<const DiskRead> reads) {
  for (const DiskRead &one : reads) {
    extents::Range range = whole_blocks(one, destination_.minimum_block(), destination_.size());
    if (range.length == one.buffer.size()) {
      destination_.read(one.buffer, one.offset);
      continue;
    }
    blocks_.resize(range.length);
    destination_.read(blocks_, range.offset);
    std::copy_n(blocks_.begin() + static_cast<ptrdiff_t>(one.offset - range.offset),
                one.buffer.size(), one.buffer.begin());
  }
}

}  // namespace apply

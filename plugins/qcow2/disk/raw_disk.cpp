// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/disk/raw_disk.hpp"

#include <algorithm>
#include <utility>

namespace qcow2 {

RawDisk::RawDisk(ImageFile file) : file_(std::move(file)), size_(file_.size()) {}

void RawDisk::read(std::span<std::byte> buffer, uint64_t offset) const {
  file_.read_or_zero(buffer, offset);
}

bool RawDisk::extents(extents::Range range, const ExtentSink &sink) const {
  constexpr extents::Type nothing = extents::hole | extents::zero;
  uint64_t end = std::min(range.end(), size_);
  uint64_t offset = range.offset;
  while (offset < end) {
    extents::Range data = file_.next_data(offset, end);
    if (data.offset > offset && !sink({offset, data.offset - offset, nothing})) return false;
    if (!data.empty() && !sink({data.offset, data.length, extents::data})) return false;
    offset = data.end();
  }
  if (offset >= range.end()) return true;
  return sink({offset, range.end() - offset, nothing});
}

}  // namespace qcow2

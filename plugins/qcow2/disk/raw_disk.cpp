// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/disk/raw_disk.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"

namespace qcow2 {

Raw::Raw(ImageFile file) : file_(std::move(file)), size_(file_.size()) {}

void Raw::read(std::span<std::byte> buffer, uint64_t offset) const {
  file_.read_or_zero(buffer, offset);
}

// SEEK_DATA moves the file offset, which nothing here relies on. A file system without it calls
// everything data; so does an error.
bool Raw::extents(extents::Range range, const ExtentSink &sink) const {
  uint64_t end = std::min(range.end(), size_);
  uint64_t offset = range.offset;
  while (offset < end) {
    off_t data = ::lseek(file_.fd().get(), static_cast<off_t>(offset), SEEK_DATA);
    bool no_more = data < 0 && errno == ENXIO;
    uint64_t start = no_more ? end : data < 0 ? offset : std::min<uint64_t>(data, end);
    if (start > offset) {
      if (!sink({offset, start - offset, extents::hole | extents::zero})) return false;
      offset = start;
      continue;
    }
    off_t hole = ::lseek(file_.fd().get(), static_cast<off_t>(offset), SEEK_HOLE);
    uint64_t stop = hole < 0 ? end : std::clamp<uint64_t>(hole, offset + 1, end);
    if (!sink({offset, stop - offset, extents::data})) return false;
    offset = stop;
  }
  if (offset >= range.end()) return true;
  return sink({offset, range.end() - offset, extents::hole | extents::zero});
}

}  // namespace qcow2

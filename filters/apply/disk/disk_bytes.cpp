// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/disk/disk_bytes.hpp"

#include <algorithm>

#include "common/util/zero.hpp"

namespace apply {

using extents::Range;

std::vector<bool> are_zero(DiskBytes &disk, std::span<const Range> ranges) {
  std::vector<std::vector<std::byte>> buffers;
  std::vector<DiskRead> reads;
  for (const Range &range : ranges) {
    reads.push_back({range.offset, buffers.emplace_back(range.length)});
  }
  disk.read(reads);
  std::vector<bool> answers;
  for (const auto &buffer : buffers) answers.push_back(util::is_zero(buffer));
  return answers;
}

Range whole_blocks(const DiskRead &read, uint64_t block, uint64_t disk_size) {
  uint64_t start = read.offset / block * block;
  uint64_t end = read.offset + read.buffer.size();
  end = std::min((end + block - 1) / block * block, disk_size);
  return {start, end - start};
}

}  // namespace apply

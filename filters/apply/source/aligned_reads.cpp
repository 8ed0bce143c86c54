// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/aligned_reads.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/nbd/batch.hpp"
#include "common/util/error.hpp"

namespace apply {

void read_aligned(nbd::Pool &pool, std::span<const DiskRead> reads) {
  std::vector<std::vector<std::byte>> blocks(reads.size());  // empty: read into the caller's buffer
  std::vector<extents::Range> ranges;
  {
    nbd::Batch batch;
    for (size_t i = 0; i < reads.size(); ++i) {
      std::span<std::byte> to = reads[i].buffer;
      ranges.push_back(whole_blocks(reads[i], pool.info().minimum_block, pool.info().size));
      if (ranges[i].length != to.size()) {
        blocks[i].resize(ranges[i].length);
        to = blocks[i];
      }
      for (uint64_t at = ranges[i].offset; !to.empty();) {
        auto part = to.first(std::min<size_t>(to.size(), pool.info().maximum_block));
        batch.read(pool.least_busy(), part, at);
        at += part.size();
        to = to.subspan(part.size());
      }
    }
    if (int errnum = batch.wait(); errnum != 0) {
      util::fail_os(errnum, "{}: cannot read at offset {}", pool.name(), reads.front().offset);
    }
  }
  for (size_t i = 0; i < reads.size(); ++i) {
    if (blocks[i].empty()) continue;
    auto from = blocks[i].begin() + static_cast<ptrdiff_t>(reads[i].offset - ranges[i].offset);
    std::copy_n(from, reads[i].buffer.size(), reads[i].buffer.begin());
  }
}

}  // namespace apply

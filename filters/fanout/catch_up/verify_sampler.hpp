// SPDX-License-Identifier: BSD-3-Clause
//
// Which blocks fanout-verify reads back: a random share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/util/sample.hpp"
#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

class VerifySampler {
 public:
  // `size`: bytes of the disk.
  VerifySampler(double share, uint64_t size, uint64_t seed) : size_(size), choice_(share, seed) {}

  // The next block, in ascending order; nothing at the end.
  std::optional<Range> next() {
    uint64_t chosen = choice_.next(next_block_);
    next_block_ = chosen + 1;
    if (chosen >= (size_ + DirtyMap::block - 1) / DirtyMap::block) return std::nullopt;
    uint64_t offset = chosen * DirtyMap::block;
    return Range{offset, std::min(DirtyMap::block, size_ - offset)};
  }

 private:
  const uint64_t size_;
  uint64_t next_block_ = 0;
  util::BlockSample choice_;
};

}  // namespace fanout

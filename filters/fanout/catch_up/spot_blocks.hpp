// SPDX-License-Identifier: BSD-3-Clause
//
// Which blocks a spot check looks at: the first, the last, then others at random.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <unordered_set>

#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

class SpotBlocks {
 public:
  // `size`: bytes of the disk.
  SpotBlocks(uint64_t size, uint64_t seed)
      : size_(size), blocks_((size + DirtyMap::block - 1) / DirtyMap::block), random_(seed) {}

  // The next block, none twice. Nothing when all were returned, or many.
  std::optional<Range> next() {
    while (tries_ < most_tries && seen_.size() < blocks_) {
      const uint64_t block = choose(tries_++);
      if (!seen_.insert(block).second) continue;
      const uint64_t offset = block * DirtyMap::block;
      return Range{offset, std::min(DirtyMap::block, size_ - offset)};
    }
    return std::nullopt;
  }

 private:
  static constexpr size_t most_tries = 4096;

  uint64_t choose(size_t turn) {
    if (turn == 0) return 0;
    if (turn == 1) return blocks_ - 1;
    return std::uniform_int_distribution<uint64_t>(0, blocks_ - 1)(random_);
  }

  const uint64_t size_, blocks_;
  std::mt19937_64 random_;
  size_t tries_ = 0;
  std::unordered_set<uint64_t> seen_;
};

}  // namespace fanout

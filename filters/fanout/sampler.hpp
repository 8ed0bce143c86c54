// SPDX-License-Identifier: BSD-3-Clause
//
// Which blocks are read back: each, by itself, with the same probability. So if k blocks differ, one
// of them is found with the probability 1-(1-share)^k.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>

#include "filters/fanout/dirty_map.hpp"

namespace fanout {

class Sampler {
 public:
  Sampler(double share, uint64_t size, uint64_t seed) : share_(share), size_(size), random_(seed) {}

  // The next one, in ascending order; nothing at the end. Between two lies a number of blocks of the
  // geometric distribution.
  std::optional<Range> next() {
    if (share_ < 1) {
      double u = std::generate_canonical<double, 53>(random_);
      double skip = std::floor(std::log1p(-u) / std::log1p(-share_));
      constexpr double most = 9e18;
      at_ = skip < most ? at_ + static_cast<uint64_t>(skip) : UINT64_MAX / 2;
    }
    if (at_ >= (size_ + DirtyMap::block - 1) / DirtyMap::block) return std::nullopt;
    uint64_t offset = at_++ * DirtyMap::block;
    return Range{offset, std::min(DirtyMap::block, size_ - offset)};
  }

 private:
  const double share_;
  const uint64_t size_;
  uint64_t at_ = 0;  // the first block that has not been considered
  std::mt19937_64 random_;
};

}  // namespace fanout

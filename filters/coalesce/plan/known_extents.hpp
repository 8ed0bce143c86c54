// SPDX-License-Identifier: BSD-3-Clause
//
// What is known of the disk's extents.
#pragma once

#include <cstdint>
#include <vector>

#include "common/extents/extent_map.hpp"

namespace coalesce {

// Not synchronised.
class DiskMap {
 public:
  static constexpr extents::Type unknown = ~extents::Type{0};

  explicit DiskMap(uint64_t size) : map_(size, unknown) {}

  uint64_t size() const { return map_.size(); }
  // Changes with every write: what was asked for before one and answered after it is not learned.
  uint64_t generation() const { return generation_; }
  bool written() const { return generation_ != 0; }

  void learn(uint64_t generation, const std::vector<extents::Extent> &list);
  // Something was written: a layer below may have allocated more than just that.
  void forget();

  extents::Extent at(uint64_t offset) const { return map_.at(offset); }
  bool knows(uint64_t offset) const { return at(offset).type != unknown; }
  // The extents from the range's start to its end or to the first byte that nothing is known of.
  // At most so many.
  std::vector<extents::Extent> known(extents::Range range, size_t most = ~size_t{0}) const;

 private:
  static constexpr size_t most = 1u << 20;  // extents, about 20 MB; then it starts anew
  extents::ExtentMap map_;
  uint64_t generation_ = 0;
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
//
// The extents of the disk, as far as the layer below was asked for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/extents/extent_map.hpp"

namespace coalesce {

// Not synchronised.
class KnownExtents {
 public:
  static constexpr extents::Type unknown = ~extents::Type{0};

  explicit KnownExtents(uint64_t disk_size) : map_(disk_size, unknown) {}

  uint64_t size() const { return map_.size(); }  // of the disk; bytes
  // Changes with every write. An answer to a query from before a write must not be learned after it.
  uint64_t generation() const { return generation_; }
  bool written() const { return generation_ != 0; }

  // Ignored unless `generation` is the current one.
  void learn(uint64_t generation, const std::vector<extents::Extent> &list);
  // The disk was written to. All of it is unknown again, since a write to a part of it may allocate
  // more than that part in a layer below.
  void forget();

  // The type of the extent may be `unknown`. offset must be below size().
  extents::Extent at(uint64_t offset) const { return map_.at(offset); }
  // The extents from the start of the range to its end or to the first byte that is unknown; no more
  // than `count`.
  std::vector<extents::Extent> known(extents::Range range, size_t count = ~size_t{0}) const;

 private:
  static constexpr size_t max_extents = 1u << 20;  // about 20 MB; beyond that it starts anew
  extents::ExtentMap map_;
  uint64_t generation_ = 0;
};

}  // namespace coalesce

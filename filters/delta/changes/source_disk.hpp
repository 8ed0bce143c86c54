// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace delta {

// The layer below, as one connection reaches it. Called by several threads at the same time.
class SourceDisk {
 public:
  virtual ~SourceDisk() = default;
  // Extents from range.offset on, without gaps: at least one; they may end before the range does, or
  // after it. Throws.
  virtual std::vector<extents::Extent> extents(extents::Range range) = 0;
  virtual void read(std::span<std::byte> buffer, uint64_t offset) = 0;  // throws
};

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
//
// One connection to the layer below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

// Called from several threads at once if the layer below is parallel. Both methods may throw anything.
// An exception reaches the client if it comes from a read that is part of a client's request; an
// exception during read-ahead is dropped.
class LowerConnection {
 public:
  virtual ~LowerConnection() = default;
  // Fills the buffer, which is never empty, from the offset in bytes.
  virtual void pread(std::span<std::byte> buffer, uint64_t offset) = 0;
  // The extents of the range (below 4 GiB), in order, clipped to it. The list may end early, but
  // covers at least the first byte.
  virtual std::vector<extents::Extent> extents(extents::Range range) = 0;
};

}  // namespace coalesce

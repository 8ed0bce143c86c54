// SPDX-License-Identifier: BSD-3-Clause
//
// What the engine reads from: one connection to the layer below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

// Where the layer below is parallel, called from several threads at once. Both methods may throw
// anything; what a request of the client caused goes on to it, what was read ahead is forgotten.
class Reader {
 public:
  virtual ~Reader() = default;
  // Fills the buffer (never empty) from the offset in bytes.
  virtual void pread(std::span<std::byte> buffer, uint64_t offset) = 0;
  // What the range (below 4 GiB) is, in order, clipped to it. May stop early, but says something of
  // the first byte.
  virtual std::vector<extents::Extent> extents(extents::Range range) = 0;
};

}  // namespace coalesce

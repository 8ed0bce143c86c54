// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"

namespace pull {

// The disk that the source is brought to, as one connection reaches it. Each method throws what the
// layer below throws. May be used from several threads.
class LocalDisk {
 public:
  virtual ~LocalDisk() = default;
  virtual void read(std::span<std::byte> buffer, uint64_t offset) = 0;
  // durable: not answered before the bytes are on stable storage.
  virtual void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) = 0;
  enum class Hole { keep, allowed };
  virtual void zero(extents::Range range, Hole hole, bool durable) = 0;
  // The same, but only where that is fast; else throws ENOTSUP.
  virtual void fast_zero(extents::Range range, Hole hole) = 0;
  virtual void flush() = 0;
  // From the beginning of the range on; may end before it does.
  virtual std::vector<extents::Extent> extents(extents::Range range) = 0;
};

}  // namespace pull

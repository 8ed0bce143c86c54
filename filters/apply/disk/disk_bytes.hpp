// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace apply {

// A place in memory, and what of a disk is to be read into it.
struct Read {
  uint64_t offset;
  std::span<std::byte> buffer;
};

// A disk that can be read: the source's, the destination's. Used by one thread at a time.
class Bytes {
 public:
  virtual ~Bytes() = default;
  // All of the reads, at the same time if that is faster; each of at most 1 MiB, not empty. Throws if
  // one fails.
  virtual void read(std::span<const Read> reads) = 0;
};

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// Ranges of bytes on a disk, with the two flags of NBD's base:allocation metadata context
// (NBD protocol, "Metadata context base:allocation").
#pragma once

#include <algorithm>
#include <cstdint>

namespace extents {

using Type = uint32_t;
inline constexpr Type data = 0;        // allocated, content not known to be zero
inline constexpr Type hole = 1u << 0;  // NBD_STATE_HOLE: not allocated in this layer
inline constexpr Type zero = 1u << 1;  // NBD_STATE_ZERO: reads as zeroes

// [offset, offset + length) in bytes.
struct Range {
  uint64_t offset = 0;
  uint64_t length = 0;

  uint64_t end() const { return offset + length; }
  bool empty() const { return length == 0; }
  bool operator==(const Range &) const = default;
};

// What two ranges share; empty if they do not meet.
inline Range intersect(const Range &a, const Range &b) {
  uint64_t start = std::max(a.offset, b.offset);
  uint64_t end = std::min(a.end(), b.end());
  return start < end ? Range{start, end - start} : Range{start, 0};
}

struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  Type type = data;

  uint64_t end() const { return offset + length; }
  Range range() const { return {offset, length}; }
  bool operator==(const Extent &) const = default;
};

}  // namespace extents

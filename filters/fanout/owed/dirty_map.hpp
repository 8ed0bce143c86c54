// SPDX-License-Identifier: BSD-3-Clause
//
// Which blocks of a disk something is true of: a compressed bitmap (Roaring) with a grain of 64 KiB.
// What all of a terabyte disk owes costs a few bytes if it lies together, and 2 MiB at the worst.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/extents/extent.hpp"

struct roaring_bitmap_s;

namespace fanout {

using extents::Range;

// Not synchronised. Ranges are in bytes; a block is in the map if any byte of it was added. Block
// numbers have 32 bits: disks of up to 256 TiB.
class DirtyMap {
 public:
  static constexpr uint64_t block = 64u << 10;  // bytes
  static constexpr uint64_t largest_disk = block << 32;

  DirtyMap();
  DirtyMap(const DirtyMap &other);
  DirtyMap(DirtyMap &&other) noexcept;
  DirtyMap &operator=(DirtyMap other) noexcept;
  ~DirtyMap();

  bool empty() const;
  uint64_t blocks() const;

  void add(Range range);
  void add(const DirtyMap &other);
  void remove(Range range);
  void keep_only(const DirtyMap &other);  // what is in both
  void clear();

  bool contains(Range range) const;    // all of its blocks
  bool intersects(Range range) const;  // at least one

  // The first run of blocks in the map that begins at or after `from` (a run that `from` lies in
  // begins there), cut to `most` bytes; empty if there is none. In whole blocks.
  Range next(uint64_t from, uint64_t most) const;

  // Calls f for every run, in order.
  void for_each(const std::function<void(Range)> &f) const;

 private:
  struct Free {
    void operator()(roaring_bitmap_s *bitmap) const;
  };
  std::unique_ptr<roaring_bitmap_s, Free> bitmap_;
};

}  // namespace fanout

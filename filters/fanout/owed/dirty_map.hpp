// SPDX-License-Identifier: BSD-3-Clause
//
// A set of blocks of 64 KiB, as a compressed bitmap (Roaring). For a disk of 1 TiB it takes a few
// bytes if the blocks are consecutive, and at most 2 MiB.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/extents/extent.hpp"

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
  bool operator==(const DirtyMap &other) const;

  void add(Range range);
  void add(const DirtyMap &other);
  void remove(Range range);
  void keep_only(const DirtyMap &other);  // what is in both
  void clear();

  bool contains(Range range) const;    // all of its blocks
  bool intersects(Range range) const;  // at least one

  // The first run of blocks of the map at or after `from`, in whole blocks, at most `most` bytes of
  // it. If `from` lies within a run, it begins with from's block. Empty if there is none.
  Range next(uint64_t from, uint64_t most) const;

  // Calls f for every run, in order.
  void for_each(const std::function<void(Range)> &f) const;

 private:
  // A roaring_bitmap_t: how that is declared differs between the versions of the library.
  struct Free {
    void operator()(void *bitmap) const;
  };
  std::unique_ptr<void, Free> bitmap_;
};

}  // namespace fanout

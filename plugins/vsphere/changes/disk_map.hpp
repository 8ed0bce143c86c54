// SPDX-License-Identifier: BSD-3-Clause
//
// What each byte of a disk is, as told once and read for ever after: made from its beginning to its
// end, then immutable. Unlike extents::ExtentMap it cannot be changed in the middle, and so needs
// but 8 bytes for a place where the type changes: a map of a million areas has 16 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/extents/extent.hpp"

namespace vsphere {

// Any number of threads may read it once extend() has reached the size.
class DiskMap {
 public:
  // Nothing is told yet. Throws util::Error EPROTO for a size that no disk has.
  explicit DiskMap(uint64_t size);

  // All from where the last call ended up to `end` has that type. Nothing to do if it is told already;
  // what is beyond the size is ignored.
  void extend(uint64_t end, extents::Type type);

  uint64_t size() const { return size_; }                                   // bytes
  size_t count() const { return starts_.size(); }                           // maximal extents
  size_t memory() const { return starts_.capacity() * sizeof starts_[0]; }  // bytes

  // Calls f(extent) for every extent that meets the range, in order, clipped to it, until f returns
  // false. Finds the first one in O(log count()).
  void for_each(extents::Range range, const std::function<bool(const extents::Extent &)> &f) const;

  // The same as a list. Good for small ranges and tests.
  std::vector<extents::Extent> slice(extents::Range range) const;

 private:
  // A start and its type in one word: types are below 4, so a disk may have up to 2^62 bytes. In
  // ascending order; the first start is 0; neighbours differ in type.
  static uint64_t start_of(uint64_t word) { return word >> 2; }
  static extents::Type type_of(uint64_t word) { return static_cast<extents::Type>(word & 3); }

  std::vector<uint64_t> starts_;
  uint64_t size_;
  uint64_t told_ = 0;  // up to here
};

}  // namespace vsphere

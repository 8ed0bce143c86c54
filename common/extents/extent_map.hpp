// SPDX-License-Identifier: BSD-3-Clause
//
// What each byte of a disk is: a total map from [0, size) to a type, kept as the places where the
// type changes. Neighbours of the same type are always one extent.
#pragma once

#include <absl/container/btree_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/extents/extent.hpp"

namespace extents {

// Not synchronised: many readers or one writer at a time. Every operation is O(log n + extents
// touched); a boundary takes about 20 bytes.
class ExtentMap {
 public:
  // A disk of `size` bytes, all of one type.
  explicit ExtentMap(uint64_t size, Type type = data);

  uint64_t size() const { return size_; }          // bytes
  size_t count() const { return starts_.size(); }  // maximal extents

  // Gives every byte of the range the type. The part beyond size() is ignored.
  void set(Range range, Type type);

  // The maximal extent that holds the byte. offset must be below size().
  Extent at(uint64_t offset) const;

  // Calls f(extent) for every extent that meets the range, in order, clipped to it, until f returns
  // false.
  void for_each(Range range, const std::function<bool(const Extent &)> &f) const;

  // The same as a list. Good for small ranges and tests.
  std::vector<Extent> slice(Range range) const;

 private:
  Range clip(Range range) const;

  // Invariant: if size_ > 0 the first key is 0; a key is below size_; two successive values differ.
  absl::btree_map<uint64_t, Type> starts_;
  uint64_t size_;
};

}  // namespace extents

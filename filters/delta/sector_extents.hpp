// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "common/extents/extent.hpp"

namespace delta {

// Moves the ends of extents to sectors, because clients that work in sectors (qemu-img) take the
// type of a sector's first byte for the whole sector. A sector of two types becomes data, which is
// always correct: reads return the disk's bytes.
class SectorExtents {
 public:
  static constexpr uint64_t sector = 512;  // bytes

  // add is called with the extents of whole sectors, in order.
  explicit SectorExtents(std::function<void(const extents::Extent &)> add) : add_(std::move(add)) {}

  // The next extent. The first begins at a multiple of `sector`, each other where the last one
  // ended.
  void feed(extents::Extent extent);
  void end_of_disk();                     // the last sector of the disk may be shorter
  bool empty() const { return !added_; }  // whether add was never called

 private:
  void add(const extents::Extent &extent);
  std::function<void(const extents::Extent &)> add_;
  std::optional<extents::Extent> part_;  // the beginning of a sector
  bool added_ = false;
};

}  // namespace delta

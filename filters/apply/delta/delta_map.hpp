// SPDX-License-Identifier: BSD-3-Clause
//
// The delta as the source's map shows it: which bytes of the destination may be changed, and what
// the source holds there (nbdkit-replicate-delta(7), "The delta view").
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "common/extents/extent.hpp"
#include "common/extents/frozen_map.hpp"

namespace apply {

enum class Kind : uint8_t {
  outside,  // HOLE|ZERO in the view, or beyond the end of the source: not in the delta
  data,     // in the delta; only the source knows the bytes
  zero,     // in the delta, ZERO without HOLE: the source holds zeroes
};

// Some bytes of one kind.
struct Area {
  extents::Range range;
  Kind kind;
  bool operator==(const Area &) const = default;
};

// Appended to by one thread while it is made; then any number of threads may read it. Memory and
// time are those of extents::FrozenMap: 5 bytes for an area, O(log n) for a lookup.
class DeltaMap {
 public:
  DeltaMap();
  explicit DeltaMap(const extents::ExtentMap &view);

  // The next `length` bytes, from size() on, have this type in the view.
  void append(uint64_t length, extents::Type type);

  uint64_t size() const { return map_.size(); }                  // of the source, in bytes
  uint64_t delta_bytes() const { return map_.counted_bytes(); }  // of kind data or zero
  size_t areas() const { return map_.count(); }                  // maximal ones of every kind
  // The largest power of two that divides the offset of every area.
  uint64_t alignment() const { return map_.alignment(); }

  // The maximal area that holds the byte. All bytes from size() on are one area, outside.
  Area at(uint64_t offset) const;

  // Calls f for the areas of the range, in order, clipped to it, until f returns false. Returns
  // whether f never did.
  bool for_each(extents::Range range, const std::function<bool(const Area &)> &f) const;

  // How many bytes of the range are in the delta.
  uint64_t delta_bytes(extents::Range range) const { return map_.counted_bytes(range); }

 private:
  extents::FrozenMap map_;  // its types are those of type_of()
};

}  // namespace apply

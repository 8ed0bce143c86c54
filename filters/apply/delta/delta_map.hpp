// SPDX-License-Identifier: BSD-3-Clause
//
// The delta as the view's map shows it: which bytes of the destination may be changed, and what the
// source holds there (nbdkit-replicate-delta(7)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/extent_map.hpp"

namespace apply {

enum class Kind : uint8_t {
  outside,  // HOLE|ZERO in the view, or beyond the source's end: not in the delta
  data,     // in the delta; only the source knows the bytes
  zero,     // in the delta, ZERO without HOLE: it has become zero
};

struct Piece {
  extents::Range range;
  Kind kind;
  bool operator==(const Piece &) const = default;
};

// Appended to while it is made, by one thread; then it never changes, and any thread may use it.
// A piece costs 5 bytes, a lookup O(log n).
class Mask {
 public:
  Mask() = default;
  explicit Mask(const extents::ExtentMap &view);

  // What follows, from size() on: so many bytes of a type of the view.
  void append(uint64_t length, extents::Type type);

  uint64_t size() const { return size_; }  // of the source, in bytes
  uint64_t delta_bytes() const { return delta_bytes_; }
  size_t pieces() const { return starts_.size(); }  // maximal ones, the delta and what is not
  // The largest power of two that divides every offset where a piece begins.
  uint64_t alignment() const;

  // The maximal piece that holds the byte; what is beyond size() is one piece, outside.
  Piece at(uint64_t offset) const;

  // Calls f for the pieces of the range, in order, clipped to it, until f returns false. Returns
  // whether f never did.
  bool for_each(extents::Range range, const std::function<bool(const Piece &)> &f) const;

  // How many bytes of the range are in the delta.
  uint64_t delta_bytes(extents::Range range) const;

 private:
  // A place in starts_, and in pages_ of the page that it belongs to.
  struct Cursor {
    size_t page, index;
  };
  // A page is 4 GiB of the disk: where pieces begin in it is told in 32 bits.
  struct Page {
    uint64_t number;
    size_t first;  // its first piece in starts_
  };

  Cursor find(uint64_t offset) const;  // the piece that holds it; offset < size_
  uint64_t start(const Cursor &c) const { return pages_[c.page].number << 32 | starts_[c.index]; }
  Cursor next(Cursor c) const;
  Piece piece(const Cursor &c) const;
  size_t first_after(size_t page) const;  // the first piece of the page after it
  uint64_t delta_before(uint64_t offset) const;

  // Invariant: if size_ > 0, the first piece begins at 0; a page has at least one; two successive
  // pieces differ in kind. Deques, for they grow without being copied.
  std::vector<Page> pages_;
  std::deque<uint32_t> starts_;
  std::deque<Kind> kinds_;
  std::deque<uint64_t> sums_;  // bytes of the delta before every 64th piece
  uint64_t size_ = 0;
  uint64_t delta_bytes_ = 0;
  uint64_t all_starts_ = 0;  // or-ed together
};

}  // namespace apply

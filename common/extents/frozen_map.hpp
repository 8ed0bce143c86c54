// SPDX-License-Identifier: BSD-3-Clause
//
// What each byte of a disk is, told once from the beginning to the end and only read after that. Unlike
// an ExtentMap it cannot be changed in the middle, and so needs 5 bytes for an extent: a map of a
// million areas, two million extents, takes 10 MB.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "common/extents/extent.hpp"

namespace extents {

class ExtentMap;

// Appended to by one thread while it is made; then any number of threads may read it. Neighbours of one
// type are always one extent. A lookup is O(log count()).
class FrozenMap {
 public:
  // Empty. counted_types has the bit 1 << T for each type T of which counted_bytes() is to know the
  // bytes; types are below 8.
  explicit FrozenMap(uint32_t counted_types = 0) : counted_types_(counted_types) {}
  explicit FrozenMap(const ExtentMap &map, uint32_t counted_types = 0);

  // The next `length` bytes, from size() on, have the type.
  void append(uint64_t length, Type type);
  // The same for all bytes from size() to `end`; nothing to do if end <= size().
  void append_until(uint64_t end, Type type);

  uint64_t size() const { return size_; }          // bytes that have been told
  size_t count() const { return starts_.size(); }  // maximal extents
  // The largest power of two that divides the offset of every extent; 2^63 if there is but one.
  uint64_t alignment() const;

  // The maximal extent that holds the byte. offset must be below size().
  Extent at(uint64_t offset) const { return extent(find(offset)); }

  // Calls f(extent) for every extent that meets the range, in order, clipped to it and to size(), until
  // f returns false. Returns whether f never did.
  bool for_each(Range range, const std::function<bool(const Extent &)> &f) const;

  // The same as a list. Good for small ranges and tests.
  std::vector<Extent> slice(Range range) const;

  // How many bytes of the counted types there are, in all and within a range.
  uint64_t counted_bytes() const { return counted_bytes_; }
  uint64_t counted_bytes(Range range) const;

 private:
  // An extent's place in starts_, and in pages_ that of the page that it starts in.
  struct Cursor {
    size_t page, index;
  };
  // A page is 4 GiB of the disk, so that starts within it have 32 bits. Pages where no extent starts
  // are left out.
  struct Page {
    uint64_t number;
    size_t first;  // its first extent in starts_
  };

  bool is_counted(Type type) const { return (counted_types_ >> type & 1) != 0; }
  Cursor find(uint64_t offset) const;
  Cursor next(Cursor c) const;
  uint64_t start(const Cursor &c) const { return pages_[c.page].number << 32 | starts_[c.index]; }
  Extent extent(const Cursor &c) const;
  size_t end_of_page(size_t page) const;
  uint64_t counted_before(uint64_t offset) const;

  // Invariant: if size_ > 0 the first extent starts at 0; a page has at least one; two successive
  // extents differ in type. Deques, because they grow without being copied.
  std::vector<Page> pages_;
  std::deque<uint32_t> starts_;
  std::deque<uint8_t> types_;
  std::deque<uint64_t> sums_;  // counted bytes before every sum_stride-th extent
  uint32_t counted_types_;
  uint64_t size_ = 0;
  uint64_t counted_bytes_ = 0;
  uint64_t all_starts_ = 0;  // or-ed together
};

}  // namespace extents

// SPDX-License-Identifier: BSD-3-Clause
//
// Where each guest cluster lies: the L1 table of one image, and its L2 tables, as much of them as is
// in use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/atomic_table.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/tables/l2_cache.hpp"

namespace qcow2 {

// May be used from any thread. Invariant: an L2 entry that is not zero has a table, and a slice that
// take_changed_slices() gives has its L1 entry on disk already or given by take_changed_l1() after.
class Mapping {
 public:
  // Of an L1 table that lies at l1_offset in the file, empty in memory: it is filled by the loader.
  // cache_bytes: of memory for the L2 tables. file must outlive this.
  Mapping(const Geometry &geometry, const ImageFile &file, uint64_t l1_offset, size_t cache_bytes);

  EntryArray &l1() { return l1_; }
  const EntryArray &l1() const { return l1_; }
  bool has_table(uint64_t cluster) const { return l1_.value(geometry_.table_of(cluster)) != 0; }

  // The entries around a guest cluster; none if there is no table. Throws util::Error if they cannot
  // be read.
  Entries entries(uint64_t cluster) const;
  // The entries that `entries` holds if the cluster is among them, else they take their place.
  Entries &entries(uint64_t cluster, Entries &entries_before) const;
  Entry entry(uint64_t cluster) const { return entries(cluster).value(cluster); }

  // Where the file has the slice, which has a table.
  extents::Range place(const Entries &slice) const { return place(slice.number()); }

  void table_added(uint64_t table) { changed_l1_.add(table / l1_slice_entries); }

  // Pieces of tables as they have to be on disk: what lies one beside the other is one piece.
  class Changes {
   public:
    void clear();  // keeps its memory
    // Where to append the bytes for that place in the file.
    std::vector<std::byte> &at(uint64_t offset);
    void write(const ImageFile &file) const;

   private:
    struct Piece {
      uint64_t offset;  // in the file
      size_t start;     // in bytes_
    };
    std::vector<std::byte> bytes_;
    std::vector<Piece> pieces_;
  };

  // The slices of L2 tables that have changed, in order, and what of the L1 table has: its part
  // numbers. What is changed meanwhile may be in it or will be in the next. What could not be written
  // must be given back: with Entries::changed(), and with l1_not_written(). When the slices are no
  // longer held, slices_let_go() says so.
  std::vector<Entries> take_changed_slices() const { return l2_.take_changed(); }
  void slices_let_go(size_t count) const { l2_.give_back(count); }
  std::vector<uint64_t> take_changed_l1();
  void l1_not_written(std::span<const uint64_t> parts);
  // Adds a copy of them as they are now.
  void copy(std::span<const Entries> slices, Changes &to) const;
  void copy_l1(std::span<const uint64_t> parts, Changes &to) const;
  // How many of them make about so many bytes.
  size_t slices_in(size_t bytes) const { return bytes / (l2_.slice_entries() * 8); }
  size_t l1_parts_in(size_t bytes) const { return bytes / (l1_slice_entries * 8); }

  // How much of the cache waits to be written: see L2Cache.
  bool wants_writing() const { return l2_.wants_writing(); }
  bool is_crowded() const { return l2_.is_crowded(); }

 private:
  static constexpr uint64_t l1_slice_entries = 64;
  extents::Range place(uint64_t slice) const;

  const Geometry geometry_;
  const ImageFile &file_;
  const uint64_t l1_offset_;
  EntryArray l1_;
  Bitmap changed_l1_;  // parts of l1_slice_entries
  mutable L2Cache l2_;
};

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// The L1 table and all L2 tables of one image, in memory: where each guest cluster lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plugins/qcow2/bitmap.hpp"
#include "plugins/qcow2/entry_array.hpp"
#include "plugins/qcow2/format.hpp"
#include "plugins/qcow2/geometry.hpp"

namespace qcow2 {

// May be used from any thread. Invariant: an L2 entry that is not zero has a table, and a table
// that take_changes() gives has its L1 entry on disk already or given with it.
class Mapping {
 public:
  // Empty, of an L1 table that lies at l1_offset in the file.
  Mapping(const Geometry &geometry, uint64_t l1_offset);

  EntryArray &l1() { return l1_; }
  const EntryArray &l1() const { return l1_; }
  EntryArray &l2() { return l2_; }  // one entry a guest cluster, without gaps between the tables
  const EntryArray &l2() const { return l2_; }

  Entry entry(uint64_t cluster) const { return l2_.value(cluster); }
  bool has_table(uint64_t cluster) const { return l1_.value(geometry_.table_of(cluster)) != 0; }

  // To be called after the change, and before it is acknowledged: the entry has to go to disk.
  void entry_changed(uint64_t cluster) { changed_l2_.add(cluster / slice_entries_); }
  void table_added(uint64_t table) { changed_l1_.add(table / l1_slice_entries); }

  // A piece of a table as it has to be on disk.
  struct Change {
    uint64_t offset;  // in the file
    std::vector<std::byte> bytes;
    std::vector<uint64_t> slices;
    bool of_l1;
  };
  // A copy of what has changed, about max_bytes of it at most; empty if nothing has. A change that
  // is made meanwhile may be in it or will be in the next.
  std::vector<Change> take_changes(size_t max_bytes);
  // What could not be written: it is taken again the next time.
  void give_back(const std::vector<Change> &changes);

 private:
  static constexpr uint64_t l1_slice_entries = 64;
  void copy(std::vector<Change> &changes, bool of_l1, uint64_t slice) const;

  const Geometry geometry_;
  const uint64_t l1_offset_;
  const uint64_t slice_entries_;  // of an L2 table, what is written at once: 4 KiB or the table
  EntryArray l1_;
  EntryArray l2_;
  Bitmap changed_l1_;  // slices
  Bitmap changed_l2_;
};

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/durability/pending_set.hpp"
#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/tables/atomic_table.hpp"
#include "plugins/qcow2/tables/l2_cache.hpp"
#include "plugins/qcow2/tables/number_set.hpp"

namespace qcow2 {

// Maps guest clusters to their entries: the L1 table of an image, and its L2 tables as far as they
// are in the cache. May be used from any thread.
//
// An L2 entry that is not zero has a table. The L1 entry of a table becomes visible and is marked as
// changed with l1_mutex_ held, which begin_l1_flush() takes as well: so a slice from
// take_changed_slices() has its L1 entry on disk or in what begin_l1_flush() covers afterwards. An L1
// entry that is on disk before the entries of its table does no harm: the table reads as zeroes.
class ClusterMap {
 public:
  // The L1 table is at the offset l1_offset of the file. In memory it is empty at first:
  // check_tables() fills it. cache_bytes: memory for the L2 tables. file must outlive this.
  ClusterMap(const Geometry &geometry, const ImageFile &file, uint64_t l1_offset,
             size_t cache_bytes);

  AtomicTable &l1() { return l1_; }
  const AtomicTable &l1() const { return l1_; }
  bool has_table(uint64_t cluster) const { return l1_.value(geometry_.table_of(cluster)) != 0; }

  // The slice of L2 entries with that of the guest cluster; none if it has no table. Throws
  // util::Error if the slice cannot be read.
  Entries entries(uint64_t cluster) const;
  // `before` if it covers the guest cluster. Otherwise its slice takes the place of `before`.
  Entries &entries(uint64_t cluster, Entries &before) const;
  Entry entry(uint64_t cluster) const { return entries(cluster).value(cluster); }

  // The place in the file of a slice that has a table.
  extents::Range place(const Entries &slice) const { return place(slice.number()); }

  // Ends the claim that the calling thread has on the L1 entry, which has to be written to the file.
  void publish_table(uint64_t table, Entry entry) ABSL_LOCKS_EXCLUDED(l1_mutex_);
  // The L1 entry has to be written to the file. Only before other threads use the map.
  void table_added(uint64_t table) { changed_l1_.add(table / l1_part_entries); }

  // Parts of tables in their form on disk, each with its place in the file. Adjacent ones are
  // merged.
  class Changes {
   public:
    void clear();  // keeps its memory
    // Returns the buffer to which the bytes for that offset have to be appended.
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

  // The changed slices of the L2 tables, in order, which then no longer count as changed. A change
  // that is made after the call may be among them, and will be among the next. What could not be
  // written has to be returned, by Entries::changed(). release_slices() is due when the slices are
  // no longer held.
  std::vector<Entries> take_changed_slices() const { return l2_.take_changed(); }
  void release_slices(size_t count) const { l2_.give_back(count); }

  // The changed parts of the L1 table, to be taken after the slices. Those of a flush that failed
  // are changed again.
  using L1Flush = durability::PendingSet<NumberSet>::Flush;
  L1Flush begin_l1_flush() ABSL_LOCKS_EXCLUDED(l1_mutex_);
  std::vector<uint64_t> parts_of(L1Flush flush) const {
    return changed_l1_.covered(flush).numbers();
  }
  void end_l1_flush(L1Flush flush, bool succeeded) { changed_l1_.end_flush(flush, succeeded); }
  // Append a copy of them as they are now.
  void copy(std::span<const Entries> slices, Changes &to) const;
  void copy_l1(std::span<const uint64_t> parts, Changes &to) const;
  // The number of slices, or parts of the L1 table, in that many bytes.
  size_t slices_in(size_t bytes) const { return bytes / (l2_.slice_entries() * 8); }
  size_t l1_parts_in(size_t bytes) const { return bytes / (l1_part_entries * 8); }

  // See L2Cache.
  bool wants_writing() const { return l2_.wants_writing(); }
  bool is_crowded() const { return l2_.is_crowded(); }

 private:
  static constexpr uint64_t l1_part_entries = 64;
  extents::Range place(uint64_t slice) const;

  const Geometry geometry_;
  const ImageFile &file_;
  const uint64_t l1_offset_;
  AtomicTable l1_;
  util::Mutex l1_mutex_;                          // before the one in changed_l1_; not held for I/O
  durability::PendingSet<NumberSet> changed_l1_;  // parts of l1_part_entries
  mutable L2Cache l2_;
};

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "common/durability/flush_round.hpp"
#include "common/extents/extent.hpp"
#include "plugins/qcow2/file/data_sync.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/cluster_map.hpp"
#include "plugins/qcow2/tables/dirty_bit.hpp"
#include "plugins/qcow2/tables/unlinked_clusters.hpp"

namespace qcow2 {

// Writes changes of the tables to the file, in the order that keeps the image repairable, and
// everything flushed in it, after a crash at any instant:
//  1. The dirty bit is durable before anything else changes (DirtyBit).
//  2. A flush copies the changed entries and parts of the L1 table; writes out pending data and
//     syncs, so that the data the copy points to is durable; writes the copy; and syncs again.
//     Entries that change after the copy wait for the next flush. When too much of the L2 cache has
//     changed a flush is made.
//  3. The host clusters that a change has unlinked are given back to the file system after the
//     flush that has written the change, and not allocated again before the image is closed
//     (UnlinkedClusters).
//  4. When the image is closed the refcounts are written and synced, and only then the dirty bit is
//     cleared (lifecycle/finalise.hpp).
//
// May be used from any thread. Holds no lock during I/O.
class TableWriter {
 public:
  // header: as on disk. pending: data that entries may point to before it is in the file; may be
  // null. mark: see DirtyBit. map, file, allocator, pending and mark must outlive this.
  TableWriter(const ImageFile &file, const Header &header, ClusterMap &map,
              ClusterAllocator &allocator, PendingData *pending, CompletenessMark &mark);

  // Before data is written in place, which changes no entry.
  void before_change() { dirty_bit_.set(); }

  // Before a change of the guest cluster's L2 entry. Returns the slice with the entry when the
  // dirty bit is set, the entry has a table, and the file has space for the slice. Flushes first if
  // too many changes wait to be written.
  Entries prepare(uint64_t cluster);

  // After one of the entries has changed from `old`, before the change is acknowledged.
  void changed(Entries &entries, Entry old);

  // Changes for which changed() has returned are durable after this. Throws util::Error; once a sync
  // has failed, always.
  void flush() { round_.run(); }

  // For closing the image, when no other thread uses this.
  bool is_dirty() const { return dirty_bit_.is_set(); }
  const Header &header() const { return dirty_bit_.header(); }
  void sync() { sync_.run(); }
  // See DirtyBit::clear().
  void set_clean(RefcountTable table) { dirty_bit_.clear(table); }
  // Whether compressed data has been unlinked since the last call, or before the image was opened
  // dirty.
  bool take_unlinked_compressed() { return unlinked_.take_compressed(); }

 private:
  void need_table(uint64_t cluster);
  void reserve(Entries &entries);
  void flush_if_full();
  void flush_round();
  void write_changes(std::vector<Entries> &slices, const std::vector<uint64_t> &l1_parts);
  void write_batch(std::span<Entries> slices, std::span<const uint64_t> l1_parts);

  const ImageFile &file_;
  const Geometry geometry_;
  ClusterMap &map_;
  ClusterAllocator &allocator_;
  DataSync sync_;
  DirtyBit dirty_bit_;
  UnlinkedClusters unlinked_;
  std::atomic<bool> flushing_if_full_ = false;  // a thread is in the flush of flush_if_full()
  ClusterMap::Changes changes_;                 // of the flush that is running
  durability::FlushRound<> round_{[this] { flush_round(); }};
};

}  // namespace qcow2

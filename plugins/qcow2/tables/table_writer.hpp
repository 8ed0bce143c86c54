// SPDX-License-Identifier: BSD-3-Clause
//
// What makes a change of the tables safe: the order in which everything reaches the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/group_commit.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/dirty_bit.hpp"

namespace qcow2 {

// The order on disk, so that an image is repairable after a crash at any instant and nothing
// flushed is missing:
//  - The dirty bit is durable before anything else changes: see LiveHeader.
//  - A flush copies the changed entries, syncs (so that the data they point to is durable), writes
//    the entries, and syncs again. It is the copy that is written: entries that change meanwhile
//    wait for the next flush. The L2 cache, when it is full of changes, is emptied by a flush, too.
//  - The host clusters that a change has left are given back to the file system only after the
//    flush that has unlinked them, and never reused before the image is closed.
//  - A host cluster with compressed data is shared: it is given back when the image is closed, if
//    nothing refers to it any more.
//  - finalise() writes the refcounts (see Closing), syncs, and only then clears the dirty bit.
// May be used from any thread; finalise() only when no other method runs.
class Metadata {
 public:
  // layer must outlive this. `header` is as on disk; end: clusters in the file; blocks: its
  // refcount table.
  Metadata(Layer &layer, const Header &header, uint64_t end, std::vector<uint64_t> blocks,
           util::Log log);

  // Fresh clusters in a row; returns their offset in the file.
  uint64_t allocate(uint64_t clusters) { return allocator_.allocate(clusters); }
  // The same, with their space in the file system.
  uint64_t allocate_reserved(uint64_t clusters);
  // See Allocator.
  void reserve_ahead() { allocator_.reserve_ahead(); }
  // Gives an allocation back that was never linked (the write has failed).
  void abandon(uint64_t host_offset, uint64_t length) noexcept;

  // Before a change of the guest cluster's L2 entry: the dirty bit is set, there is a table, and
  // space in the file for this part of it. If very much waits to be written, it is written first.
  Entries prepare(uint64_t cluster);

  // After one of the entries has changed from `old`, before the change is acknowledged.
  void changed(Entries &entries, Entry old);

  // What has to reach the file before a sync, and after the copy of the entries that the sync is
  // for. Before any thread uses this.
  void set_before_sync(std::function<void()> before_sync) { before_sync_ = std::move(before_sync); }

  // Everything acknowledged before the call is durable after it. Throws util::Error; once a sync
  // has failed, always: the kernel reports a lost write once.
  void flush() { commit_.run(); }

  bool is_dirty() const { return header_.is_dirty(); }
  // Makes the image clean: after it qemu-img check finds neither errors nor leaks. Does nothing if
  // it is clean. packed_end: see Closing. Throws util::Error; then it stays dirty.
  void finalise(uint64_t packed_end = 0);

 private:
  void need_table(uint64_t cluster);
  void reserve(Entries &entries);
  void relieve();
  void flush_round();
  void write_changes(std::vector<Entries> &slices, const std::vector<uint64_t> &l1_parts);
  void write_batch(std::span<Entries> slices, std::span<const uint64_t> l1_parts);
  void sync();
  void discard(const std::vector<extents::Range> &ranges) const noexcept;

  Layer &layer_;
  const util::Log log_;
  LiveHeader header_;
  Allocator allocator_;
  std::function<void()> before_sync_;
  std::atomic<bool> sync_failed_ = false;
  std::atomic<bool> relieving_ = false;  // a thread flushes because much waits to be written
  std::atomic<bool> left_packed_;        // unlinked compressed data: see Closing
  std::atomic<size_t> left_count_ = 0;   // of left_
  std::mutex mutex_;                     // protects left_
  std::vector<extents::Range> left_;     // of the file: unlinked in memory, perhaps not yet on disk
  Mapping::Changes changes_;             // of the flush that is running
  GroupCommit commit_;
};

}  // namespace qcow2

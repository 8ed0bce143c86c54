// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/table_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/lifecycle/finalise.hpp"

namespace qcow2 {

namespace {

// How much of the tables a flush copies at a time.
constexpr size_t flush_bytes = 4u << 20;
// Of the file, unlinked and not yet given back: more than that is flushed without being asked.
constexpr size_t most_left = 100000;

}  // namespace

Metadata::Metadata(Layer &layer, const Header &header, uint64_t end, std::vector<uint64_t> blocks,
                   util::Log log)
    : layer_(layer),
      log_(std::move(log)),
      header_(layer.file, header, [this] { sync(); }),
      allocator_(layer.geometry, layer.file, end, std::move(blocks)),
      left_packed_(header_.is_dirty()),
      commit_([this] { flush_round(); }) {}

uint64_t Metadata::allocate_reserved(uint64_t clusters) {
  uint64_t offset = allocator_.allocate(clusters);
  layer_.file.reserve(offset, layer_.geometry.start_of(clusters));
  return offset;
}

void Metadata::abandon(uint64_t host_offset, uint64_t length) noexcept {
  layer_.file.punch(host_offset, length);
}

Entries Metadata::prepare(uint64_t cluster) {
  relieve();
  header_.set_dirty();
  need_table(cluster);
  Entries entries = layer_.mapping.entries(cluster);
  reserve(entries);
  return entries;
}

// The slice for the cluster gets its space before the L1 entry is there to be flushed: so the table
// does not lie beyond the end of the file.
void Metadata::need_table(uint64_t cluster) {
  EntryArray &l1 = layer_.mapping.l1();
  uint64_t table = layer_.geometry.table_of(cluster);
  while (l1.value(table) == 0) {
    if (!l1.try_claim(table, 0)) {
      l1.wait_unclaimed(table);
      continue;
    }
    Entry entry = 0;
    try {
      uint64_t offset = allocator_.allocate(1);
      layer_.file.reserve(offset, sector);
      entry = offset | copied;
    } catch (...) {
      l1.release(table, 0);
      throw;
    }
    l1.release(table, entry);
    layer_.mapping.table_added(table);
  }
}

// Two threads may do it twice, which does no harm: the range keeps what is there.
void Metadata::reserve(Entries &entries) {
  if (entries.is_reserved()) return;
  extents::Range place = layer_.mapping.place(entries);
  layer_.file.reserve(place.offset, place.length);
  entries.set_reserved();
}

// One thread flushes for all; the others go on until there is really no more room.
void Metadata::relieve() {
  const Mapping &mapping = layer_.mapping;
  if (!mapping.wants_writing() && left_count_.load() < most_left) return;
  if (mapping.is_crowded() || left_count_.load() > 2 * most_left) return flush();
  if (relieving_.exchange(true)) return;
  try {
    flush();
  } catch (...) {
    relieving_.store(false);
    throw;
  }
  relieving_.store(false);
}

void Metadata::changed(Entries &entries, Entry old) {
  entries.changed();
  if (is_compressed(old)) left_packed_.store(true);
  if (host_offset(old) == 0) return;
  extents::Range range{host_offset(old), layer_.geometry.cluster_size()};
  std::lock_guard lock(mutex_);
  if (!left_.empty() && left_.back().end() == range.offset) {
    left_.back().length += range.length;
  } else {
    left_.push_back(range);
    left_count_.store(left_.size());
  }
}

void Metadata::flush_round() {
  std::vector<extents::Range> left;
  {
    std::lock_guard lock(mutex_);
    left.swap(left_);
    left_count_.store(0);
  }
  try {
    std::vector<Entries> slices = layer_.mapping.take_changed_slices();
    std::vector<uint64_t> l1_parts = layer_.mapping.take_changed_l1();
    write_changes(slices, l1_parts);
  } catch (...) {
    std::lock_guard lock(mutex_);
    left_.insert(left_.end(), left.begin(), left.end());
    left_count_.store(left_.size());
    throw;
  }
  discard(left);
}

// In batches, each copied, then synced, then written: the sync makes durable the data that the copy
// points to, and what was written before. The last sync is for the last batch.
void Metadata::write_changes(std::vector<Entries> &slices, const std::vector<uint64_t> &l1_parts) {
  std::span<Entries> slices_left(slices);
  std::span<const uint64_t> l1_left(l1_parts);
  try {
    do {
      auto some =
          slices_left.first(std::min(slices_left.size(), layer_.mapping.slices_in(flush_bytes)));
      auto l1_some =
          l1_left.first(std::min(l1_left.size(), layer_.mapping.l1_parts_in(flush_bytes)));
      write_batch(some, l1_some);
      slices_left = slices_left.subspan(some.size());
      l1_left = l1_left.subspan(l1_some.size());
    } while (!slices_left.empty() || !l1_left.empty());
    if (!slices.empty() || !l1_parts.empty()) sync();
  } catch (...) {
    layer_.mapping.l1_not_written(l1_left);
    layer_.mapping.slices_let_go(slices_left.size());
    for (Entries &entries : slices_left) entries.changed();
    throw;
  }
}

void Metadata::write_batch(std::span<Entries> slices, std::span<const uint64_t> l1_parts) {
  changes_.clear();
  layer_.mapping.copy_l1(l1_parts, changes_);
  layer_.mapping.copy(slices, changes_);
  sync();
  changes_.write(layer_.file);
  for (Entries &entries : slices) entries = Entries();
  layer_.mapping.slices_let_go(slices.size());
}

void Metadata::sync() {
  if (sync_failed_.load()) {
    util::fail(EIO,
               "{}: an earlier sync has failed, what was written since may be lost: run "
               "qemu-img check -r all on it and copy again",
               layer_.file.path());
  }
  if (before_sync_) before_sync_();
  try {
    layer_.file.sync();
  } catch (const util::Error &) {
    sync_failed_.store(true);
    throw;
  }
}

void Metadata::finalise(uint64_t packed_end) {
  if (!is_dirty()) return;
  flush();
  Closing closing(layer_, header_.fields(), allocator_);
  RefcountTable table = closing.write_refcounts(refcount_table(header_.fields()));
  uint64_t length = closing.set_length(packed_end);
  sync();
  header_.set_clean(table);
  if (left_packed_.exchange(false)) closing.give_back_unused();
  log_.info("{}: closed, {} bytes", layer_.file.path(), length);
}

void Metadata::discard(const std::vector<extents::Range> &ranges) const noexcept {
  for (const auto &range : ranges) layer_.file.punch(range.offset, range.length);
}

}  // namespace qcow2

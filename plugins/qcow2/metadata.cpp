// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/metadata.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/descriptor.hpp"
#include "plugins/qcow2/load.hpp"

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
      header_(header),
      allocator_(layer.geometry, layer.file, end, std::move(blocks)),
      state_((header.incompatible & dirty_bit) != 0 ? State::dirty : State::clean),
      left_packed_(state_.load() == State::dirty),
      commit_([this] { flush_round(); }) {}

// Everybody who comes while one thread sets the bit waits for it: no change may overtake it.
void Metadata::set_dirty() {
  for (State state = state_.load(); state != State::dirty; state = state_.load()) {
    if (state == State::marking) {
      state_.wait(state);
      continue;
    }
    if (!state_.compare_exchange_strong(state, State::marking)) continue;
    State result = State::clean;
    try {
      header_.incompatible |= dirty_bit;
      header_.autoclear = 0;  // what we do not maintain is no longer to be trusted
      write_features();
      sync();
      result = State::dirty;
    } catch (...) {
      state_.store(result);
      state_.notify_all();
      throw;
    }
    state_.store(result);
    state_.notify_all();
  }
}

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
  set_dirty();
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

void Metadata::write_features() {
  layer_.file.write(encode_features(header_), Header::features_at);
}

void Metadata::move_refcount_table(RefcountTable table) {
  if (table.offset == header_.refcount_table_offset &&
      table.clusters == header_.refcount_table_clusters) {
    return;
  }
  std::vector<std::byte> bytes(12);
  store_be64(&bytes[0], table.offset);
  store_be32(&bytes[8], table.clusters);
  layer_.file.write(bytes, Header::refcount_table_at);
  header_.refcount_table_offset = table.offset;
  header_.refcount_table_clusters = table.clusters;
}

void Metadata::collect_used(Bitmap &used, Sharing &sharing) {
  const Geometry &geometry = layer_.geometry;
  used.add(0);
  uint64_t l1_clusters =
      Geometry::divide_up(uint64_t{header_.l1_entries} * 8, geometry.cluster_size());
  for (uint64_t i = 0; i < l1_clusters; ++i) {
    used.add(geometry.cluster_of(header_.l1_offset) + i);
  }
  // What the file has is all there is: everything has been flushed. A COPIED bit that is wrong there
  // (every refcount will be one, but for compressed data, which never has it) is put right.
  walk_tables(layer_.file, geometry, layer_.mapping.l1(), [&](const TablePart &part) {
    used.add(geometry.cluster_of(part.table));
    bool wrong = false;
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be64(&part.entries[at]);
      if (is_compressed(entry)) {
        for_each_host_cluster(entry, geometry.cluster_bits(), [&](uint64_t host) {
          used.add(host);
          sharing.add(host);
        });
      } else if (host_offset(entry) != 0) {
        used.add(geometry.cluster_of(host_offset(entry)));
      } else {
        continue;
      }
      Entry right = is_compressed(entry) ? entry & ~copied : entry | copied;
      if (right == entry) continue;
      store_be64(&part.entries[at], right);
      wrong = true;
    }
    if (wrong) layer_.file.write(part.entries, part.offset);
  });
}

// One more reading of the tables, for the counts of a part of the file.
void Metadata::count_shared(Sharing &sharing) const {
  const Geometry &geometry = layer_.geometry;
  walk_tables(layer_.file, geometry, layer_.mapping.l1(), [&](const TablePart &part) {
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be64(&part.entries[at]);
      if (!is_compressed(entry)) continue;
      for_each_host_cluster(entry, geometry.cluster_bits(),
                            [&](uint64_t host) { sharing.add(host); });
    }
  });
}

void Metadata::finalise(uint64_t packed_end) {
  if (!is_dirty()) return;
  flush();
  Bitmap used(room_for_refcounts(allocator_.end()));
  Sharing sharing(allocator_.end(), [this](Sharing &next) { count_shared(next); });
  collect_used(used, sharing);
  RefcountTable table = write_refcounts(
      layer_.file, layer_.geometry,
      {header_.refcount_table_offset, header_.refcount_table_clusters}, allocator_, used, sharing);
  // Cuts off what was given out and never linked, and fills the last cluster.
  uint64_t length = layer_.geometry.start_of(allocator_.end());
  if (packed_end != 0 && layer_.geometry.cluster_of(packed_end - 1) + 1 == allocator_.end()) {
    length = Geometry::round_up(packed_end, sector);
  }
  layer_.file.set_length(length);
  sync();
  move_refcount_table(table);
  header_.incompatible &= ~dirty_bit;
  header_.autoclear = 0;
  try {
    write_features();
    sync();
  } catch (...) {
    header_.incompatible |= dirty_bit;
    throw;
  }
  state_.store(State::clean);
  if (left_packed_.exchange(false)) give_back_unused(used);
  log_.info("{}: closed, {} bytes", layer_.file.path(), length);
}

// When the image is clean, so that nothing on disk refers to them: nor will it, for they are not
// given out again before the image is opened anew, and then only if they are at the end.
void Metadata::give_back_unused(const Bitmap &used) const noexcept {
  const Geometry &geometry = layer_.geometry;
  const uint64_t end = allocator_.end();
  for (uint64_t cluster = 0; cluster < end; ++cluster) {
    uint64_t first = cluster;
    while (cluster < end && !used.contains(cluster)) ++cluster;
    if (first == cluster) continue;
    layer_.file.punch(geometry.start_of(first), geometry.start_of(cluster - first));
  }
}

void Metadata::discard(const std::vector<extents::Range> &ranges) const noexcept {
  for (const auto &range : ranges) layer_.file.punch(range.offset, range.length);
}

}  // namespace qcow2

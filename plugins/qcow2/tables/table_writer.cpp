// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/table_writer.hpp"

#include <algorithm>
#include <optional>

namespace qcow2 {

namespace {

// A flush copies the tables in batches of this size.
constexpr size_t batch_bytes = 4u << 20;

}  // namespace

TableWriter::TableWriter(const ImageFile &file, const Header &header, ClusterMap &map,
                         ClusterAllocator &allocator, PendingData *pending, CompletenessMark &mark)
    : file_(file),
      geometry_(header),
      map_(map),
      allocator_(allocator),
      sync_(file, pending),
      dirty_bit_(file, header, sync_, mark),
      unlinked_(dirty_bit_.is_set()) {}

Entries TableWriter::prepare(uint64_t cluster) {
  flush_if_full();
  dirty_bit_.set();
  need_table(cluster);
  Entries entries = map_.entries(cluster);
  reserve(entries);
  return entries;
}

// The first sector of the table gets its space before the L1 entry can be flushed, so the table
// does not lie beyond the end of the file.
void TableWriter::need_table(uint64_t cluster) {
  AtomicTable &l1 = map_.l1();
  uint64_t table = geometry_.table_of(cluster);
  while (l1.value(table) == 0) {
    if (!l1.try_claim(table, 0)) {
      l1.wait_unclaimed(table);
      continue;
    }
    Entry entry = 0;
    try {
      uint64_t offset = allocator_.allocate(1);
      file_.reserve(offset, sector);
      entry = offset | copied;
    } catch (...) {
      l1.release(table, 0);
      throw;
    }
    map_.publish_table(table, entry);
  }
}

// One thread does it, before the first change of an entry: where there is no fallocate,
// ImageFile::reserve() writes zeroes, and no flush may write the slice before or meanwhile.
void TableWriter::reserve(Entries &entries) {
  if (!entries.begin_reserve()) return;
  try {
    extents::Range place = map_.place(entries);
    file_.reserve(place.offset, place.length);
  } catch (...) {
    entries.end_reserve(false);
    throw;
  }
  entries.end_reserve(true);
}

// One thread flushes while the others go on, until there is no room for their changes.
void TableWriter::flush_if_full() {
  if (!map_.wants_writing() && !unlinked_.is_full()) return;
  if (map_.is_crowded() || unlinked_.is_overfull()) return flush();
  if (flushing_if_full_.exchange(true)) return;
  try {
    flush();
  } catch (...) {
    flushing_if_full_.store(false);
    throw;
  }
  flushing_if_full_.store(false);
}

void TableWriter::changed(Entries &entries, Entry old) {
  entries.changed();
  if (is_compressed(old)) unlinked_.add_compressed();
  if (host_offset(old) != 0) unlinked_.add({host_offset(old), geometry_.cluster_size()});
}

// The unlinked clusters are taken first, so that the changes that have unlinked them are among those taken
// next; the parts of the L1 table last, so that the tables of all these changes are among them.
void TableWriter::flush_round() {
  auto unlinked = unlinked_.begin_flush();
  std::optional<ClusterMap::L1Flush> l1;
  try {
    std::vector<Entries> slices = map_.take_changed_slices();
    l1 = map_.begin_l1_flush();
    write_changes(slices, map_.parts_of(*l1));
  } catch (...) {
    if (l1) map_.end_l1_flush(*l1, false);
    unlinked_.end_flush(unlinked, false);
    throw;
  }
  map_.end_l1_flush(*l1, true);
  for (const auto &range : unlinked_.end_flush(unlinked, true)) {
    file_.punch(range.offset, range.length);
  }
}

// Each batch is copied, then synced, then written: the sync makes the data durable that the copy
// points to, and the batch before. The last sync is for the last batch.
void TableWriter::write_changes(std::vector<Entries> &slices,
                                const std::vector<uint64_t> &l1_parts) {
  std::span<Entries> slices_left(slices);
  std::span<const uint64_t> l1_left(l1_parts);
  try {
    do {
      auto some = slices_left.first(std::min(slices_left.size(), map_.slices_in(batch_bytes)));
      auto l1_some = l1_left.first(std::min(l1_left.size(), map_.l1_parts_in(batch_bytes)));
      write_batch(some, l1_some);
      slices_left = slices_left.subspan(some.size());
      l1_left = l1_left.subspan(l1_some.size());
    } while (!slices_left.empty() || !l1_left.empty());
    if (!slices.empty() || !l1_parts.empty()) sync_.run();
  } catch (...) {
    map_.release_slices(slices_left.size());
    for (Entries &entries : slices_left) entries.changed();
    throw;
  }
}

void TableWriter::write_batch(std::span<Entries> slices, std::span<const uint64_t> l1_parts) {
  changes_.clear();
  map_.copy_l1(l1_parts, changes_);
  map_.copy(slices, changes_);
  sync_.run();
  changes_.write(file_);
  for (Entries &entries : slices) entries = Entries();
  map_.release_slices(slices.size());
}

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/finalise.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/lifecycle/refcount_writer.hpp"
#include "plugins/qcow2/lifecycle/shared_refcounts.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/table_walk.hpp"

namespace qcow2 {

namespace {

// Every refcount will be one, except for compressed data, whose entries never have the bit.
Entry with_correct_copied(Entry entry) {
  return is_compressed(entry) ? entry & ~copied : entry | copied;
}

// What the tables in the file refer to. They must not change while this lives. Syncs nothing.
class Finaliser {
 public:
  // Reads all tables, and corrects COPIED bits. header: has the place of the L1 table.
  Finaliser(const Layer &layer, const Header &header, ClusterAllocator &allocator)
      : layer_(layer),
        allocator_(allocator),
        used_(room_for_refcounts(allocator.end())),
        shared_(allocator.end(), [this](SharedRefcounts &next) { count_shared(next); }) {
    collect(header.l1_offset, uint64_t{header.l1_entries} * 8);
  }

  // Returns the place of the refcount table. `table` is where it was. The end of the allocator is
  // then the end of what is used.
  RefcountTable write_refcounts(RefcountTable table) {
    return qcow2::write_refcounts(layer_.file, layer_.geometry, table, allocator_, used_, shared_);
  }

  // After write_refcounts(): cuts off clusters that were never linked, or makes the last cluster
  // whole. Returns the length in bytes.
  uint64_t set_length() const;

  // Punches what nothing refers to. The image must be clean on disk. Nothing will refer to these
  // clusters later either: they are not allocated before the image is opened again, and then only
  // at the end of the file.
  void punch_unused() const noexcept;

 private:
  void collect(uint64_t l1_offset, uint64_t l1_bytes);
  void count_shared(SharedRefcounts &shared) const;

  const Layer &layer_;
  ClusterAllocator &allocator_;
  AtomicBitmap used_;  // host clusters
  SharedRefcounts shared_;
  uint64_t packed_end_ = 0;  // of the compressed data in the file, 0 if there is none
};

void Finaliser::collect(uint64_t l1_offset, uint64_t l1_bytes) {
  const Geometry &geometry = layer_.geometry;
  used_.add(0);
  for (uint64_t at = 0; at < l1_bytes; at += geometry.cluster_size()) {
    used_.add(geometry.cluster_of(l1_offset + at));
  }
  walk_tables(layer_.file, geometry, layer_.map.l1(), [&](const TablePart &part) {
    used_.add(geometry.cluster_of(part.table));
    bool wrong = false;
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be<uint64_t>(&part.entries[at]);
      if (is_compressed(entry)) {
        for_each_host_cluster(entry, geometry.cluster_bits(), [&](uint64_t host) {
          used_.add(host);
          shared_.add(host);
        });
        packed_end_ = std::max(packed_end_, compressed_range(entry, geometry.cluster_bits()).end());
      } else if (host_offset(entry) != 0) {
        used_.add(geometry.cluster_of(host_offset(entry)));
      } else {
        continue;
      }
      Entry correct = with_correct_copied(entry);
      if (correct == entry) continue;
      store_be<uint64_t>(&part.entries[at], correct);
      wrong = true;
    }
    if (wrong) layer_.file.write(part.entries, part.offset);
  });
}

// Reads the tables once more, to count the references to the next part of the file.
void Finaliser::count_shared(SharedRefcounts &shared) const {
  const Geometry &geometry = layer_.geometry;
  walk_tables(layer_.file, geometry, layer_.map.l1(), [&](const TablePart &part) {
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be<uint64_t>(&part.entries[at]);
      if (!is_compressed(entry)) continue;
      for_each_host_cluster(entry, geometry.cluster_bits(),
                            [&](uint64_t host) { shared.add(host); });
    }
  });
}

// The range of compressed data ends with a sector.
uint64_t Finaliser::set_length() const {
  const Geometry &geometry = layer_.geometry;
  uint64_t length = geometry.start_of(allocator_.end());
  if (packed_end_ != 0 && geometry.cluster_of(packed_end_ - 1) + 1 == allocator_.end()) {
    length = packed_end_;
  }
  layer_.file.set_length(length);
  return length;
}

void Finaliser::punch_unused() const noexcept {
  const Geometry &geometry = layer_.geometry;
  const uint64_t end = allocator_.end();
  for (uint64_t cluster = 0; cluster < end; ++cluster) {
    uint64_t first = cluster;
    while (cluster < end && !used_.contains(cluster)) ++cluster;
    if (first == cluster) continue;
    layer_.file.punch(geometry.start_of(first), geometry.start_of(cluster - first));
  }
}

// Returns the length of the file and the place of the refcount table. If this fails the file may hold
// something up to where it ended before, so there is no fresh cluster before that.
std::pair<uint64_t, RefcountTable> write_refcounts_and_length(Finaliser &finaliser,
                                                              RefcountTable table,
                                                              ClusterAllocator &allocator) {
  const uint64_t end = allocator.end();
  try {
    table = finaliser.write_refcounts(table);
    return {finaliser.set_length(), table};
  } catch (...) {
    allocator.set_end(std::max(end, allocator.end()));
    throw;
  }
}

}  // namespace

void finalise(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
              const util::Log &log) {
  if (!tables.is_dirty()) return;
  tables.flush();
  Finaliser finaliser(layer, tables.header(), allocator);
  auto [length, table] =
      write_refcounts_and_length(finaliser, tables.header().refcount_table(), allocator);
  tables.sync();
  tables.set_clean(table);
  if (tables.take_unlinked_compressed()) finaliser.punch_unused();
  log.info("{}: closed, {} bytes", layer.file.path(), length);
}

}  // namespace qcow2

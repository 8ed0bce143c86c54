// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/finalise.hpp"

#include <cstddef>

#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

// Every refcount will be one, but for compressed data, whose entries never have the bit.
Entry with_right_copied(Entry entry) {
  return is_compressed(entry) ? entry & ~copied : entry | copied;
}

}  // namespace

Closing::Closing(const Layer &layer, const Header &header, Allocator &allocator)
    : layer_(layer),
      allocator_(allocator),
      used_(room_for_refcounts(allocator.end())),
      sharing_(allocator.end(), [this](Sharing &next) { count_shared(next); }) {
  collect(header.l1_offset, uint64_t{header.l1_entries} * 8);
}

void Closing::collect(uint64_t l1_offset, uint64_t l1_bytes) {
  const Geometry &geometry = layer_.geometry;
  used_.add(0);
  for (uint64_t at = 0; at < l1_bytes; at += geometry.cluster_size()) {
    used_.add(geometry.cluster_of(l1_offset + at));
  }
  walk_tables(layer_.file, geometry, layer_.mapping.l1(), [&](const TablePart &part) {
    used_.add(geometry.cluster_of(part.table));
    bool wrong = false;
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be<uint64_t>(&part.entries[at]);
      if (is_compressed(entry)) {
        for_each_host_cluster(entry, geometry.cluster_bits(), [&](uint64_t host) {
          used_.add(host);
          sharing_.add(host);
        });
      } else if (host_offset(entry) != 0) {
        used_.add(geometry.cluster_of(host_offset(entry)));
      } else {
        continue;
      }
      Entry right = with_right_copied(entry);
      if (right == entry) continue;
      store_be<uint64_t>(&part.entries[at], right);
      wrong = true;
    }
    if (wrong) layer_.file.write(part.entries, part.offset);
  });
}

// One more reading of the tables, for the counts of a part of the file.
void Closing::count_shared(Sharing &sharing) const {
  const Geometry &geometry = layer_.geometry;
  walk_tables(layer_.file, geometry, layer_.mapping.l1(), [&](const TablePart &part) {
    for (size_t at = 0; at < part.entries.size(); at += 8) {
      Entry entry = load_be<uint64_t>(&part.entries[at]);
      if (!is_compressed(entry)) continue;
      for_each_host_cluster(entry, geometry.cluster_bits(),
                            [&](uint64_t host) { sharing.add(host); });
    }
  });
}

RefcountTable Closing::write_refcounts(RefcountTable table) {
  return qcow2::write_refcounts(layer_.file, layer_.geometry, table, allocator_, used_, sharing_);
}

uint64_t Closing::set_length(uint64_t packed_end) const {
  const Geometry &geometry = layer_.geometry;
  uint64_t length = geometry.start_of(allocator_.end());
  if (packed_end != 0 && geometry.cluster_of(packed_end - 1) + 1 == allocator_.end()) {
    length = Geometry::round_up(packed_end, sector);
  }
  layer_.file.set_length(length);
  return length;
}

void Closing::give_back_unused() const noexcept {
  const Geometry &geometry = layer_.geometry;
  const uint64_t end = allocator_.end();
  for (uint64_t cluster = 0; cluster < end; ++cluster) {
    uint64_t first = cluster;
    while (cluster < end && !used_.contains(cluster)) ++cluster;
    if (first == cluster) continue;
    layer_.file.punch(geometry.start_of(first), geometry.start_of(cluster - first));
  }
}

}  // namespace qcow2

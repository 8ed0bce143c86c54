// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/write/plain_writer.hpp"

#include <algorithm>

#include "common/util/error.hpp"

namespace qcow2 {

uint64_t PlainWriter::write(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_.geometry.cluster_of(offset);
  Entries entries = layer_.map.entries(cluster);
  Entry entry = entries.value(cluster);
  if (is_data(entry)) return write_in_place(data, offset, entry, entries);
  if (entries && entries.is_claimed(cluster)) {
    entries.wait_unclaimed(cluster);
    return 0;
  }
  return write_fresh(data, offset);
}

bool PlainWriter::is_zero_cluster(std::span<const std::byte> data, uint64_t offset,
                                  uint64_t cluster) const {
  if (!detect_zeroes_) return false;
  uint64_t start = layer_.geometry.start_of(cluster);
  uint64_t end = layer_.geometry.end_of(cluster);
  if (start < offset || end > offset + data.size()) return false;
  return util::is_zero(data.subspan(start - offset, end - start));
}

// `first` is the entry of the first cluster, `entries` its slice.
uint64_t PlainWriter::write_in_place(std::span<const std::byte> data, uint64_t offset, Entry first,
                                     Entries &entries) {
  const Geometry &geometry = layer_.geometry;
  uint64_t cluster = geometry.cluster_of(offset);
  uint64_t end = offset + data.size();
  uint64_t last = cluster;
  while (geometry.end_of(last) < end) {
    Entry next = layer_.map.entries(last + 1, entries).value(last + 1);
    bool adjacent = is_data(next) &&
                    host_offset(next) == host_offset(first) + geometry.start_of(last + 1 - cluster);
    if (!adjacent || is_zero_cluster(data, offset, last + 1)) break;
    ++last;
  }
  uint64_t n = std::min(end, geometry.end_of(last)) - offset;
  layer_.file.write(data.first(n), host_offset(first) + (offset - geometry.start_of(cluster)));
  return n;
}

uint64_t PlainWriter::write_fresh(std::span<const std::byte> data, uint64_t offset) {
  const Geometry &geometry = layer_.geometry;
  uint64_t first = geometry.cluster_of(offset);
  uint64_t end = offset + data.size();
  Claims claims(tables_.prepare(first), first);
  if (!claims.take_next()) return 0;
  while (geometry.end_of(claims.last()) < end) {
    if (is_zero_cluster(data, offset, claims.last() + 1) || !claims.take_next()) break;
  }
  uint64_t n = std::min(end, geometry.end_of(claims.last())) - offset;
  link_fresh(data.first(n), offset, claims);
  return n;
}

void PlainWriter::link_fresh(std::span<const std::byte> data, uint64_t offset, Claims &claims) {
  const Geometry &geometry = layer_.geometry;
  uint64_t end = offset + data.size();
  auto head = fill(claims.old(claims.first()), geometry.start_of(claims.first()), offset);
  auto tail = fill(claims.old(claims.last()), end, geometry.end_of(claims.last()));

  uint64_t host = allocator_.allocate(claims.count());
  uint64_t host_data = host + (offset - geometry.start_of(claims.first()));
  try {
    layer_.file.write_fresh(head, data, tail, host_data - head.size());
  } catch (const util::Error &) {
    allocator_.abandon(host, geometry.start_of(claims.count()));
    throw;
  }
  claims.link(host, geometry.cluster_size(), tables_);
}

// The content of a part of a fresh cluster that the client does not write. Empty if it can be left
// a hole.
std::vector<std::byte> PlainWriter::fill(Entry entry, uint64_t from, uint64_t to) const {
  if (from >= to || layer_.reads_zero_here(entry)) return {};
  std::vector<std::byte> bytes(to - from);
  layer_.read_entry(entry, bytes, from);
  if (util::is_zero(bytes)) bytes.clear();
  return bytes;
}

}  // namespace qcow2

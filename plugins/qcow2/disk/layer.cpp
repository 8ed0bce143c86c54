// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/disk/layer.hpp"

#include <algorithm>
#include <utility>

#include "common/util/zero.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

Layer::Layer(std::unique_ptr<const ImageFile> the_file, const Header &header,
             std::unique_ptr<Disk> the_backing, size_t cache_bytes, AtomicBitmap *used,
             const Packer *packer)
    : file_(std::move(the_file)),
      file(*file_),
      geometry(header),
      backing(std::move(the_backing)),
      map(geometry, file, header.l1_offset, cache_bytes),
      compressed(CompressionType(header.compression_type), header.cluster_bits, file, packer) {
  uuids_.push_back(uuid_of(header));
  if (backing) {
    for (std::string &uuid : backing->uuids()) uuids_.push_back(std::move(uuid));
  }
  check_length(file, geometry);
  AtomicBitmap own(used == nullptr ? file.size() / geometry.cluster_size() + 1 : 0);
  check_tables(file, header, used == nullptr ? own : *used, map);
}

// The end, up to `end`, of the clusters that can be read together with this one.
uint64_t Layer::end_of_run(uint64_t cluster, Entry entry, uint64_t end, Entries &entries) const {
  uint64_t last = cluster;
  while (!is_compressed(entry) && geometry.end_of(last) < end) {
    Entry next = map.entries(last + 1, entries).value(last + 1);
    bool same =
        is_data(entry)
            ? is_data(next) &&
                  host_offset(next) == host_offset(entry) + geometry.start_of(last + 1 - cluster)
            : !is_data(next) && !is_compressed(next) && reads_zero(next) == reads_zero(entry) &&
                  (host_offset(next) == 0) == (host_offset(entry) == 0);
    if (!same) break;
    ++last;
  }
  return std::min(end, geometry.end_of(last));
}

void Layer::read(std::span<std::byte> buffer, uint64_t offset) const {
  uint64_t end = offset + buffer.size();
  Entries entries;
  while (offset < end && offset < size()) {
    uint64_t cluster = geometry.cluster_of(offset);
    Entry entry = map.entries(cluster, entries).value(cluster);
    uint64_t stop = end_of_run(cluster, entry, std::min(end, size()), entries);
    std::span<std::byte> part = buffer.first(stop - offset);
    if (is_data(entry)) {
      uint64_t host = host_offset(entry) + (offset - geometry.start_of(cluster));
      file.read_or_zero(part, host);
    } else {
      read_entry(entry, part, offset);
    }
    buffer = buffer.subspan(part.size());
    offset = stop;
  }
  std::fill(buffer.begin(), buffer.end(), std::byte{0});
}

void Layer::read_entry(Entry entry, std::span<std::byte> buffer, uint64_t offset) const {
  if (is_compressed(entry)) {
    compressed.read(entry, offset - geometry.start_of(geometry.cluster_of(offset)), buffer);
  } else if (is_unallocated(entry) && backing) {
    backing->read(buffer, offset);
  } else {
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
  }
}

bool Layer::rest_is_zero(extents::Range range) const {
  const uint64_t cluster = geometry.cluster_of(range.offset);
  auto is_zero = [&](uint64_t from, uint64_t to) {
    std::vector<std::byte> bytes(to - from);
    backing->read(bytes, from);
    return util::is_zero(bytes);
  };
  return is_zero(geometry.start_of(cluster), range.offset) &&
         is_zero(range.end(), std::min(geometry.end_of(cluster), size()));
}

bool Layer::extents(extents::Range range, const ExtentSink &sink) const {
  uint64_t end = std::min(range.end(), size());
  uint64_t offset = range.offset;
  Entries entries;
  while (offset < end) {
    uint64_t cluster = geometry.cluster_of(offset);
    Entry entry = map.entries(cluster, entries).value(cluster);
    uint64_t stop;
    if (!map.has_table(cluster)) {
      uint64_t next = (geometry.table_of(cluster) + 1) * geometry.l2_entries();
      stop = std::min(end, geometry.start_of(next));
    } else {
      stop = end_of_run(cluster, entry, end, entries);
    }
    extents::Extent extent{offset, stop - offset, extents::hole | extents::zero};
    if (is_data(entry) || is_compressed(entry)) extent.type = extents::data;
    if (reads_zero(entry) && host_offset(entry) != 0) extent.type = extents::zero;
    bool below = is_unallocated(entry) && backing;
    if (!(below ? backing->extents(extent.range(), sink) : sink(extent))) return false;
    offset = stop;
  }
  if (offset >= range.end()) return true;
  return sink({offset, range.end() - offset, extents::hole | extents::zero});
}

}  // namespace qcow2

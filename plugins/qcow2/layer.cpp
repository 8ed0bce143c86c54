// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/layer.hpp"

#include <algorithm>

#include "plugins/qcow2/load.hpp"

namespace qcow2 {

Layer::Layer(util::Fd the_fd, std::string the_path, const Header &header,
             std::unique_ptr<Source> the_backing, Bitmap *used)
    : fd(std::move(the_fd)),
      path(std::move(the_path)),
      geometry(header.cluster_bits, header.size),
      backing(std::move(the_backing)),
      mapping(geometry, header.l1_offset) {
  Bitmap own(used == nullptr ? file_size(fd, path) / geometry.cluster_size() + 1 : 0);
  load_tables(fd, path, header, used == nullptr ? own : *used, mapping);
}

// Where the clusters end, below `end`, that can be read with this one at once.
uint64_t Layer::end_of_run(uint64_t cluster, Entry entry, uint64_t end) const {
  uint64_t last = cluster;
  while (geometry.end_of(last) < end) {
    Entry next = mapping.entry(last + 1);
    bool same = is_data(entry) ? is_data(next) &&
                                     host_offset(next) ==
                                         host_offset(entry) + geometry.start_of(last + 1 - cluster)
                               : !is_data(next) && reads_zero(next) == reads_zero(entry);
    if (!same) break;
    ++last;
  }
  return std::min(end, geometry.end_of(last));
}

void Layer::read(std::span<std::byte> buffer, uint64_t offset) const {
  uint64_t end = offset + buffer.size();
  while (offset < end && offset < size()) {
    uint64_t cluster = geometry.cluster_of(offset);
    Entry entry = mapping.entry(cluster);
    uint64_t stop = end_of_run(cluster, entry, std::min(end, size()));
    std::span<std::byte> part = buffer.first(stop - offset);
    if (is_data(entry)) {
      uint64_t host = host_offset(entry) + (offset - geometry.start_of(cluster));
      util::read_at_or_zero(fd, part, host, path);
    } else if (is_unallocated(entry) && backing) {
      backing->read(part, offset);
    } else {
      std::fill(part.begin(), part.end(), std::byte{0});
    }
    buffer = buffer.subspan(part.size());
    offset = stop;
  }
  std::fill(buffer.begin(), buffer.end(), std::byte{0});
}

bool Layer::extents(extents::Range range, const ExtentSink &sink) const {
  uint64_t end = std::min(range.end(), size());
  uint64_t offset = range.offset;
  while (offset < end) {
    uint64_t cluster = geometry.cluster_of(offset);
    Entry entry = mapping.entry(cluster);
    uint64_t stop;
    if (!mapping.has_table(cluster)) {
      uint64_t next = (geometry.table_of(cluster) + 1) * geometry.l2_entries();
      stop = std::min(end, geometry.start_of(next));
    } else {
      stop = end_of_run(cluster, entry, end);
    }
    extents::Extent extent{offset, stop - offset, extents::hole | extents::zero};
    if (is_data(entry)) extent.type = extents::data;
    bool below = is_unallocated(entry) && backing;
    if (!(below ? backing->extents(extent.range(), sink) : sink(extent))) return false;
    offset = stop;
  }
  if (offset >= range.end()) return true;
  return sink({offset, range.end() - offset, extents::hole | extents::zero});
}

}  // namespace qcow2

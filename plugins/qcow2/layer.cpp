// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/layer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/util/error.hpp"

namespace qcow2 {

namespace {

// Reads the tables of a file that may be hostile: every reference is checked before it is followed.
class Loader {
 public:
  Loader(const util::Fd &fd, const std::string &path, const Header &header, Bitmap &used)
      : fd_(fd),
        path_(path),
        geometry_(header.cluster_bits, header.size),
        end_(Geometry::round_up(file_size(fd, path), geometry_.cluster_size())),
        used_(used) {}

  // The L1 table may be longer than the disk needs; what is beyond must be empty.
  void load(uint64_t l1_offset, uint32_t l1_entries, Mapping &mapping) {
    std::vector<std::byte> l1(size_t{l1_entries} * 8);
    util::read_at_or_zero(fd_, l1, l1_offset, path_);
    for (uint64_t table = mapping.l1().size(); table < l1_entries; ++table) {
      if (Entry entry = load_be64(&l1[table * 8]); entry != 0) {
        util::fail(ENOTSUP, "{}: L1 entry {} ({:#x}) lies beyond the end of the disk", path_, table,
                   entry);
      }
    }
    for (uint64_t table = 0; table < mapping.l1().size(); ++table) {
      Entry entry = load_be64(&l1[table * 8]);
      if (entry == 0) continue;
      if ((entry & l1_reserved) != 0) refuse("L1", table, entry);
      reference("L2 table", entry);
      mapping.l1().set(table, host_offset(entry) | copied);
      if ((entry & copied) == 0) mapping.table_added(table);
      load_table(table, host_offset(entry), mapping);
    }
  }

 private:
  void load_table(uint64_t table, uint64_t offset, Mapping &mapping) {
    buffer_.resize(geometry_.cluster_size());
    util::read_at_or_zero(fd_, buffer_, offset, path_);
    uint64_t cluster = table * geometry_.l2_entries();
    for (size_t at = 0; at < buffer_.size(); at += 8, ++cluster) {
      Entry entry = load_be64(&buffer_[at]);
      if (entry != 0) set(cluster, entry, mapping);
    }
  }

  void set(uint64_t cluster, Entry entry, Mapping &mapping) {
    if ((entry & compressed) != 0) {
      util::fail(ENOTSUP,
                 "{} has compressed clusters, which are not supported: copy it with "
                 "qemu-img convert first",
                 path_);
    }
    if ((entry & l2_reserved) != 0) refuse("L2", cluster, entry);
    Entry right = entry & ~copied;
    if (host_offset(entry) != 0) {
      reference("cluster", entry);
      right |= copied;
    }
    mapping.l2().set(cluster, right);
    if (right != entry) mapping.entry_changed(cluster);
  }

  void reference(const char *what, Entry entry) {
    uint64_t offset = host_offset(entry);
    if (offset == 0 || offset % geometry_.cluster_size() != 0 || offset >= end_) {
      util::fail(EINVAL, "{}: a {} at offset {} is not within the file: run qemu-img check on it",
                 path_, what, offset);
    }
    if (!used_.add(geometry_.cluster_of(offset))) {
      util::fail(EINVAL, "{}: the {} at offset {} is referenced twice: run qemu-img check on it",
                 path_, what, offset);
    }
  }

  [[noreturn]] void refuse(const char *table, uint64_t index, Entry entry) const {
    util::fail(EINVAL, "{}: {} entry {} ({:#x}) has reserved bits: run qemu-img check on it", path_,
               table, index, entry);
  }

  const util::Fd &fd_;
  const std::string &path_;
  const Geometry geometry_;
  const uint64_t end_;  // of the file, rounded up to a cluster
  Bitmap &used_;
  std::vector<std::byte> buffer_;
};

}  // namespace

uint64_t file_size(const util::Fd &fd, const std::string &path) {
  off_t end = ::lseek(fd.get(), 0, SEEK_END);
  if (end < 0) util::fail_os(errno, "cannot find the size of {}", path);
  return static_cast<uint64_t>(end);
}

Header read_header(const util::Fd &fd, const std::string &path) {
  uint64_t size = file_size(fd, path);
  std::vector<std::byte> start(std::min<uint64_t>(size, uint64_t{1} << max_cluster_bits));
  util::read_at(fd, start, 0, path);
  return decode(start, size, path);
}

Layer::Layer(util::Fd the_fd, std::string the_path, const Header &header,
             std::unique_ptr<Source> the_backing, Bitmap *used)
    : fd(std::move(the_fd)),
      path(std::move(the_path)),
      geometry(header.cluster_bits, header.size),
      backing(std::move(the_backing)),
      mapping(geometry, header.l1_offset) {
  Bitmap own(used == nullptr ? file_size(fd, path) / geometry.cluster_size() + 1 : 0);
  Loader(fd, path, header, used == nullptr ? own : *used)
      .load(header.l1_offset, header.l1_entries, mapping);
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

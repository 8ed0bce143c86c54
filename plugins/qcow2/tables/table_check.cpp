// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/table_check.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/extents/extent.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/tables/cluster_map.hpp"
#include "plugins/qcow2/lifecycle/refcount_writer.hpp"

namespace qcow2 {

namespace {

// Reads the tables of a file that may be hostile: every reference is checked before it is followed.
class Loader {
 public:
  Loader(const ImageFile &file, const Header &header, Bitmap &used)
      : file_(file),
        path_(file.path()),
        geometry_(header),
        end_(Geometry::round_up(file.size(), geometry_.cluster_size())),
        used_(used),
        packed_(geometry_.cluster_of(end_)) {}

  // The L1 table may be longer than the disk needs; what is beyond must be empty.
  void load(uint64_t l1_offset, uint32_t l1_entries, Mapping &mapping) {
    std::vector<std::byte> l1(size_t{l1_entries} * 8);
    file_.read_or_zero(l1, l1_offset);
    for (uint64_t table = mapping.l1().size(); table < l1_entries; ++table) {
      if (Entry entry = load_be<uint64_t>(&l1[table * 8]); entry != 0) {
        util::fail(ENOTSUP, "{}: L1 entry {} ({:#x}) lies beyond the end of the disk", path_, table,
                   entry);
      }
    }
    for (uint64_t table = 0; table < mapping.l1().size(); ++table) {
      Entry entry = load_be<uint64_t>(&l1[table * 8]);
      if (entry == 0) continue;
      if ((entry & l1_reserved) != 0) refuse("L1", table, entry);
      reference("L2 table", entry);
      mapping.l1().set(table, host_offset(entry) | copied);
      if ((entry & copied) == 0) mapping.table_added(table);
    }
    walk_tables(file_, geometry_, mapping.l1(), [this](const TablePart &part) {
      for (size_t at = 0; at < part.entries.size(); at += 8) {
        Entry entry = load_be<uint64_t>(&part.entries[at]);
        if (entry != 0) check(part.first + at / 8, entry);
      }
    });
  }

 private:
  void check(uint64_t cluster, Entry entry) {
    if (is_compressed(entry)) return check_compressed(entry);
    if ((entry & l2_reserved) != 0) refuse("L2", cluster, entry);
    if (host_offset(entry) != 0) reference("cluster", entry);
  }

  // Host clusters with compressed data may be shared, but by compressed clusters alone.
  void check_compressed(Entry entry) {
    CompressedRange range = compressed_range(entry, geometry_.cluster_bits());
    if (range.offset < geometry_.cluster_size() || range.end() > end_) {
      util::fail(EINVAL,
                 "{}: compressed data of {} bytes at offset {} is not within the file: run "
                 "qemu-img check on it",
                 path_, range.length, range.offset);
    }
    for_each_host_cluster(entry, geometry_.cluster_bits(), [&](uint64_t host) {
      if (packed_.add(host) && !used_.add(host)) {
        util::fail(EINVAL,
                   "{}: the compressed data at offset {} lies over something else: run qemu-img "
                   "check on it",
                   path_, range.offset);
      }
    });
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

  const ImageFile &file_;
  const std::string &path_;
  const Geometry geometry_;
  const uint64_t end_;  // of the file, rounded up to a cluster
  Bitmap &used_;
  Bitmap packed_;  // those of them that have compressed data
};

// The next data in the range, from a page's start; empty at its end. A file system that does not
// tell holes calls everything data.
extents::Range next_data(const ImageFile &file, uint64_t offset, uint64_t end) {
  constexpr uint64_t page = 4096;
  off_t data = ::lseek(file.fd().get(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return {errno == ENXIO ? end : offset, errno == ENXIO ? 0 : end - offset};
  uint64_t start = std::max(offset, static_cast<uint64_t>(data) / page * page);
  if (start >= end) return {end, 0};
  off_t hole = ::lseek(file.fd().get(), data, SEEK_HOLE);
  uint64_t stop = hole < 0 ? end : Geometry::round_up(static_cast<uint64_t>(hole), page);
  return {start, std::min(stop, end) - start};
}

}  // namespace

Header read_header(const ImageFile &file) {
  uint64_t size = file.size();
  std::vector<std::byte> start(std::min<uint64_t>(size, uint64_t{1} << max_cluster_bits));
  file.read(start, 0);
  return decode(start, size, file.path());
}

void check_length(const ImageFile &file, const Geometry &geometry) {
  constexpr uint64_t most_clusters = uint64_t{128} << 20 << 3;
  if (file.size() / geometry.cluster_size() > most_clusters) {
    util::fail(EFBIG, "{}: a file of {} bytes is too long for clusters of {} bytes", file.path(),
               file.size(), geometry.cluster_size());
  }
}

std::vector<uint64_t> load_refcount_blocks(const ImageFile &file, const Header &header,
                                           Bitmap &used) {
  Geometry geometry(header);
  uint64_t end = Geometry::divide_up(file.size(), geometry.cluster_size());
  used.add(0);
  auto blocks = read_refcount_table(file, geometry, refcount_table(header), end, used);
  uint64_t l1_bytes = uint64_t{header.l1_entries} * 8;
  for (uint64_t at = 0; at < l1_bytes; at += geometry.cluster_size()) {
    if (!used.add(geometry.cluster_of(header.l1_offset + at))) {
      util::fail(EINVAL, "{}: the L1 table lies over something else: run qemu-img check on it",
                 file.path());
    }
  }
  return blocks;
}

void load_tables(const ImageFile &file, const Header &header, Bitmap &used, Mapping &mapping) {
  Loader(file, header, used).load(header.l1_offset, header.l1_entries, mapping);
}

void check_entries(std::span<const std::byte> entries, const Geometry &geometry,
                   const std::string &path) {
  for (size_t at = 0; at < entries.size(); at += 8) {
    Entry entry = load_be<uint64_t>(&entries[at]);
    bool sound =
        is_compressed(entry)
            ? compressed_range(entry, geometry.cluster_bits()).offset >= geometry.cluster_size()
            : (entry & l2_reserved) == 0 && host_offset(entry) % geometry.cluster_size() == 0;
    if (sound) continue;
    util::fail(EIO, "{}: the L2 entry {:#x} makes no sense: something else has written to the file",
               path, entry);
  }
}

void walk_tables(const ImageFile &file, const Geometry &geometry, const EntryArray &l1,
                 const std::function<void(const TablePart &)> &visit) {
  constexpr uint64_t most = 64u << 10;   // is read at a time
  constexpr uint64_t small = 16u << 10;  // a table for which it is not worth asking for holes
  std::vector<std::byte> buffer(std::min(geometry.cluster_size(), most));
  for (uint64_t t = 0; t < l1.size(); ++t) {
    uint64_t table = host_offset(l1.value(t));
    if (table == 0) continue;
    visit({table, t * geometry.l2_entries(), table, {}});
    const uint64_t end = table + geometry.cluster_size();
    for (uint64_t at = table; at < end;) {
      extents::Range data{at, end - at};
      if (geometry.cluster_size() > small) data = next_data(file, at, end);
      if (data.empty()) break;
      data.length = std::min<uint64_t>(data.length, buffer.size());
      std::span<std::byte> part = std::span(buffer).first(data.length);
      file.read_or_zero(part, data.offset);
      visit({table, t * geometry.l2_entries() + (data.offset - table) / 8, data.offset, part});
      at = data.end();
    }
  }
}

}  // namespace qcow2

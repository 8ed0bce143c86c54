// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/table_check.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/tables/table_walk.hpp"

namespace qcow2 {

namespace {

class TableCheck {
 public:
  TableCheck(const ImageFile &file, const Header &header, AtomicBitmap &used)
      : file_(file),
        path_(file.path()),
        geometry_(header),
        end_(Geometry::round_up(file.size(), geometry_.cluster_size())),
        used_(used),
        packed_(geometry_.cluster_of(end_)) {}

  // The L1 table may be longer than the disk needs. The rest of it must be empty.
  void run(uint64_t l1_offset, uint32_t l1_entries, ClusterMap &map) {
    std::vector<std::byte> l1(size_t{l1_entries} * 8);
    file_.read_or_zero(l1, l1_offset);
    for (uint64_t table = map.l1().size(); table < l1_entries; ++table) {
      if (Entry entry = load_be<uint64_t>(&l1[table * 8]); entry != 0) {
        util::fail(ENOTSUP, "{}: L1 entry {} ({:#x}) lies beyond the end of the disk", path_, table,
                   entry);
      }
    }
    for (uint64_t table = 0; table < map.l1().size(); ++table) {
      Entry entry = load_be<uint64_t>(&l1[table * 8]);
      if (entry == 0) continue;
      if ((entry & l1_reserved) != 0) refuse("L1", table, entry);
      reference("L2 table", entry);
      map.l1().set(table, host_offset(entry) | copied);
      if ((entry & copied) == 0) map.table_added(table);
    }
    walk_tables(file_, geometry_, map.l1(), [this](const TablePart &part) {
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

  // A host cluster with compressed data may hold the data of several compressed clusters.
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
                   "{}: the compressed data at offset {} overlaps something else: run qemu-img "
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
  const uint64_t end_;  // of the file in bytes, rounded up to a cluster
  AtomicBitmap &used_;
  AtomicBitmap packed_;  // the used clusters with compressed data
};

// Adds the table and the blocks to `used`. end: of the file, in clusters.
std::vector<uint64_t> read_refcount_table(const ImageFile &file, const Header &header, uint64_t end,
                                          AtomicBitmap &used) {
  const Geometry geometry(header);
  const RefcountTable table = header.refcount_table();
  const bool dirty = (header.incompatible & dirty_bit) != 0;
  auto use = [&](const char *what, uint64_t offset) {
    if (offset % geometry.cluster_size() != 0 || geometry.cluster_of(offset) >= end ||
        !used.add(geometry.cluster_of(offset))) {
      util::fail(EINVAL,
                 "{}: a {} at offset {} is outside the file or overlaps something else: run "
                 "qemu-img check -r all on it",
                 file.path(), what, offset);
    }
  };
  std::vector<std::byte> bytes(geometry.start_of(table.clusters));
  for (uint64_t i = 0; i < table.clusters; ++i) {
    use("refcount table", table.offset + geometry.start_of(i));
  }
  file.read_or_zero(bytes, table.offset);

  std::vector<uint64_t> blocks(bytes.size() / 8);
  for (size_t k = 0; k < blocks.size(); ++k) {
    blocks[k] = load_be<uint64_t>(&bytes[k * 8]);
    if (dirty && geometry.cluster_of(blocks[k]) >= end) blocks[k] = 0;
    if (blocks[k] != 0) use("refcount block", blocks[k]);
  }
  while (!blocks.empty() && blocks.back() == 0) blocks.pop_back();
  return blocks;
}

}  // namespace

Header read_header(const ImageFile &file) {
  uint64_t size = file.size();
  std::vector<std::byte> start(std::min<uint64_t>(size, uint64_t{1} << max_cluster_bits));
  file.read(start, 0);
  return decode(start, size, file.path());
}

void check_length(const ImageFile &file, const Geometry &geometry) {
  if (file.size() / geometry.cluster_size() > max_opened_clusters) {
    util::fail(EFBIG, "{}: a file of {} bytes is too long for clusters of {} bytes", file.path(),
               file.size(), geometry.cluster_size());
  }
}

std::vector<uint64_t> read_refcount_blocks(const ImageFile &file, const Header &header,
                                           AtomicBitmap &used) {
  Geometry geometry(header);
  uint64_t end = Geometry::divide_up(file.size(), geometry.cluster_size());
  used.add(0);
  auto blocks = read_refcount_table(file, header, end, used);
  uint64_t l1_bytes = uint64_t{header.l1_entries} * 8;
  for (uint64_t at = 0; at < l1_bytes; at += geometry.cluster_size()) {
    if (!used.add(geometry.cluster_of(header.l1_offset + at))) {
      util::fail(EINVAL, "{}: the L1 table overlaps something else: run qemu-img check on it",
                 file.path());
    }
  }
  return blocks;
}

void check_tables(const ImageFile &file, const Header &header, AtomicBitmap &used,
                  ClusterMap &map) {
  TableCheck(file, header, used).run(header.l1_offset, header.l1_entries, map);
}

}  // namespace qcow2

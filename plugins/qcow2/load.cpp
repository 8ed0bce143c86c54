// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/load.hpp"

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

void load_tables(const util::Fd &fd, const std::string &path, const Header &header, Bitmap &used,
                 Mapping &mapping) {
  Loader(fd, path, header, used).load(header.l1_offset, header.l1_entries, mapping);
}

}  // namespace qcow2

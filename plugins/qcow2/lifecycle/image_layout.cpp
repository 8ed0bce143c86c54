// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/image_layout.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/durability/replace_file.hpp"
#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/random.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/file/image_name.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/lifecycle/unfinished_image.hpp"

namespace qcow2 {

namespace {

constexpr uint64_t refcount_table_cluster = 1;

// The length of the file in clusters when every guest cluster is allocated. The refcount table has
// room for so many.
uint64_t full_file_clusters(const Geometry &g) {
  uint64_t clusters =
      2 + Geometry::divide_up(g.l1_entries() * 8, g.cluster_size()) + g.l1_entries() + g.clusters();
  return clusters + Geometry::divide_up(clusters, g.refcounts_per_block() - 1);
}

// The refcount blocks that count them all.
uint64_t full_refcount_blocks(const Geometry &g) {
  return Geometry::divide_up(full_file_clusters(g), g.refcounts_per_block());
}

// The refcount blocks are between the refcount table and the L1 table.
uint64_t block_offset(const Header &h) {
  return (refcount_table_cluster + h.refcount_table_clusters) << h.cluster_bits;
}
uint64_t initial_blocks(const Header &h) {
  return (h.l1_offset - block_offset(h)) >> h.cluster_bits;
}

// The number of blocks that count `others` clusters and the blocks themselves.
uint64_t blocks_for(uint64_t others, const Geometry &g) {
  return Geometry::divide_up(others, g.refcounts_per_block() - 1);
}

void write_tables(const ImageFile &file, const Header &header) {
  Geometry geometry(header.cluster_bits, header.size);
  uint64_t clusters = initial_clusters(header);
  file.reserve(0, geometry.start_of(clusters));
  file.write(encode(header), 0);
  uint64_t blocks = initial_blocks(header);
  std::vector<std::byte> counts(geometry.start_of(blocks));
  for (uint64_t i = 0; i < clusters; ++i) store_be<uint16_t>(&counts[i * 2], 1);
  file.write(counts, block_offset(header));
  std::vector<std::byte> table(blocks * 8);
  for (uint64_t k = 0; k < blocks; ++k) {
    store_be<uint64_t>(&table[k * 8], block_offset(header) + geometry.start_of(k));
  }
  file.write(table, header.refcount_table_offset);
  if (::fsync(file.fd().get()) < 0) util::fail_os(errno, "cannot sync {}", file.path());
}

// Locked, with lock. A process that removes what others have left (unfinished_image.hpp) may take it for such a
// file before it is locked.
ImageFile create_unfinished(const std::string &path, bool lock) {
  constexpr int attempts = 100;
  for (int i = 0; i < attempts; ++i) {
    const std::string name = unfinished_name(path);
    ImageFile file(util::open_file(name, O_RDWR | O_CREAT | O_EXCL, 0600), name);
    if (!lock) return file;
    REPLICATE_SYNC_POINT("qcow2.unfinished_image_not_locked");
    try {
      lock_image(file.fd(), name, Use::write);
      if (is_named(file.fd(), name)) return file;
    } catch (const util::Error &e) {
      ::unlink(name.c_str());
      if (e.errnum() != EBUSY) throw;
    }
  }
  util::fail(EBUSY, "{} cannot be created: another process removes it again and again", path);
}

}  // namespace

uint64_t initial_clusters(const Header &h) {
  uint64_t l1_clusters = Geometry::divide_up(uint64_t{h.l1_entries} * 8, h.cluster_size());
  return (h.l1_offset >> h.cluster_bits) + l1_clusters;
}

void check_size(uint32_t cluster_bits, uint64_t size) {
  if (size % sector != 0) util::fail(EINVAL, "size={}: must be a multiple of {}", size, sector);
  const Geometry geometry(cluster_bits, size);
  if (geometry.l1_entries() * 8 > max_l1_bytes ||
      full_file_clusters(geometry) > max_file_clusters ||
      full_refcount_blocks(geometry) * 8 > max_refcount_table_bytes) {
    util::fail(EINVAL,
               "size={}: too large for clusters of {} bytes; give a larger cluster-size= (at "
               "most 2M)",
               size, geometry.cluster_size());
  }
}

void lay_out(Header &h) {
  check_size(h.cluster_bits, h.size);
  Geometry geometry(h.cluster_bits, h.size);
  uint64_t l1_entries = geometry.l1_entries();
  uint64_t blocks = full_refcount_blocks(geometry);
  h.l1_entries = static_cast<uint32_t>(l1_entries);
  h.refcount_table_offset = refcount_table_cluster << h.cluster_bits;
  h.refcount_table_clusters =
      static_cast<uint32_t>(Geometry::divide_up(blocks * 8, h.cluster_size()));
  uint64_t l1_clusters = Geometry::divide_up(l1_entries * 8, h.cluster_size());
  uint64_t others = refcount_table_cluster + h.refcount_table_clusters + l1_clusters;
  h.l1_offset = block_offset(h) + geometry.start_of(blocks_for(others, geometry));
}

Uuid random_uuid() {
  Uuid uuid;
  util::fill_random(uuid);
  uuid[6] = (uuid[6] & std::byte{0x0f}) | std::byte{0x40};
  uuid[8] = (uuid[8] & std::byte{0x3f}) | std::byte{0x80};
  return uuid;
}

util::Fd create_file(const std::string &path, const Header &header, bool replace, bool lock) {
  ImageFile file = create_unfinished(path, lock);
  const std::string temporary = file.path();
  try {
    write_tables(file, header);
    durability::rename_file(temporary, path, replace);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  return std::move(file).take_fd();
}

}  // namespace qcow2

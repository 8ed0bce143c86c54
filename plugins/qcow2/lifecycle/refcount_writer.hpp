// SPDX-License-Identifier: BSD-3-Clause
//
// Refcounts are not kept while an image is written: all that it takes to know them is in the L1 and
// L2 tables. They are read from the file once, as a list of blocks, and written as a whole when the
// image is closed. Every cluster in use is used once, but for those with compressed data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/lifecycle/shared_refcounts.hpp"

namespace qcow2 {

// "Refcount block entry": entry `index` of a block of counts of 1 << order bits, order 0 to 6.
void store_refcount(std::span<std::byte> block, uint32_t order, uint64_t index, uint64_t value);

// Where the refcount table lies.
struct RefcountTable {
  uint64_t offset;
  uint32_t clusters;
  bool operator==(const RefcountTable &) const = default;
};
inline RefcountTable refcount_table(const Header &header) {
  return {header.refcount_table_offset, header.refcount_table_clusters};
}

// The offset of each refcount block, or 0. Adds the table and the blocks to `used`. Throws
// util::Error EINVAL for a table that makes no sense. `end`: of the file, in clusters.
std::vector<uint64_t> read_refcount_table(const ImageFile &file, const Geometry &geometry,
                                          RefcountTable table, uint64_t end, Bitmap &used);

// Writes a refcount of 1, or what `sharing` says, for every cluster in `used` (header, L1, L2, data),
// 1 for the table and the blocks themselves, and 0 for all others; adds what blocks are missing, and
// moves the table to the end of the file if it has become too short. Nothing is synced. Returns where
// the table is; `end` of the allocator is then the end of what is used. `used` must have room for
// twice the file. Throws util::Error EFBIG if a cluster is shared more often than can be counted.
RefcountTable write_refcounts(const ImageFile &file, const Geometry &geometry, RefcountTable table,
                              Allocator &allocator, Bitmap &used, Sharing &sharing);

// How many clusters a Bitmap needs for write_refcounts.
inline uint64_t room_for_refcounts(uint64_t end) {
  return 2 * end + 2 * (max_refcount_table_bytes >> min_cluster_bits);
}

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// Refcounts are not maintained while an image is written: they follow from the L1 and L2 tables.
// All of them are written when the image is closed.
#pragma once

#include <cstdint>

#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/lifecycle/shared_refcounts.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"

namespace qcow2 {

// Writes the refcount table and all refcount blocks: for a cluster in `used` (header, L1, L2, data)
// what `shared` says, at least 1; for the table and the blocks 1; for all others 0. Adds blocks
// that are missing, and moves the table to the end of the file if it has become too small. Syncs
// nothing. Returns the place of the table. The end of the allocator is then the end of what is
// used. `used` must have room_for_refcounts(). Throws util::Error EFBIG if a cluster is shared more
// often than its refcount can count.
RefcountTable write_refcounts(const ImageFile &file, const Geometry &geometry, RefcountTable table,
                              ClusterAllocator &allocator, AtomicBitmap &used,
                              SharedRefcounts &shared);

// The clusters for which `used` needs a place, for a file of `end` clusters.
inline uint64_t room_for_refcounts(uint64_t end) {
  return 2 * end + 2 * (max_refcount_table_bytes >> min_cluster_bits);
}

}  // namespace qcow2

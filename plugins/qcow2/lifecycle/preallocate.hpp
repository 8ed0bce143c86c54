// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

enum class Preallocate {
  off,
  metadata,  // every guest cluster has a host cluster; the file is sparse
  falloc,    // and the host clusters have space in the file system
};

// Gives every guest cluster of a new image without a backing file its host cluster, in order. They
// read as zeroes. Marks the image dirty: it has to be finalised. No other thread may use the image.
// Throws util::Error.
void preallocate(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
                 Preallocate how);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

enum class Preallocate {
  off,
  metadata,  // every cluster of the disk has its place in the file, which is sparse
  falloc,    // and has space there
};

// Gives every guest cluster of a new image without a backing file its host cluster, in order; they
// read as zeroes. Nobody else may use the image. It is clean in the end. Throws util::Error.
void preallocate(Layer &layer, Metadata &metadata, Preallocate how);

}  // namespace qcow2

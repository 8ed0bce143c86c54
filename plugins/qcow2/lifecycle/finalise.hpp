// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/util/log.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

// Makes an image clean on disk, so that qemu-img check finds neither errors nor leaks. Does nothing
// if it is clean. No other thread may use the image. In this order:
//  1. flushes: the tables in the file are then complete,
//  2. reads them, and corrects COPIED bits,
//  3. writes the refcounts, and sets the length of the file,
//  4. syncs,
//  5. clears the dirty bit and syncs,
//  6. gives host clusters back that nothing refers to.
// If compressed data is in the last cluster the file ends with it, as in an image of QEMU; otherwise
// it ends with a whole cluster.
// Throws util::Error; up to step 5 the image stays dirty then, and this may be tried again.
void finalise(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
              const util::Log &log);

}  // namespace qcow2

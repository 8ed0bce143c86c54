// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// Makes the disk of an image larger, as qemu-img resize does. header: as on disk; afterwards with the new size.
// size: in bytes, larger than that of the header. The image must be open for writing, and nothing else use
// it yet. In this order, each durable before the next:
//  1. the dirty bit, for refcounts become wrong,
//  2. the L1 table: where its last cluster has no room for the new entries, a copy at the end of the file,
//  3. the size and the place of that table, by one write.
// So it has the old size or the new one after a crash at any instant. Throws util::Error: EINVAL, and nothing is
// changed, if the size is not a multiple of 512 or needs tables beyond QEMU's limits.
void grow(const ImageFile &file, Header &header, uint64_t size);

}  // namespace qcow2

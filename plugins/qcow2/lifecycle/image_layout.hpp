// SPDX-License-Identifier: BSD-3-Clause
//
// A new, empty image: header, refcount table, refcount blocks and L1 table. L2 tables, further
// refcount blocks and data are added when they are needed.
#pragma once

#include <cstdint>
#include <string>

#include "common/util/fd.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// Sets the places of the tables, for the size and the cluster size in the header. Throws
// util::Error EINVAL if the size is not a multiple of 512, or needs tables beyond QEMU's limits.
void lay_out(Header &header);

// Throws util::Error EINVAL if a disk of that size is not possible with clusters of that size: as lay_out().
void check_size(uint32_t cluster_bits, uint64_t size);

// The clusters of an image after lay_out(). The L1 table is the last.
uint64_t initial_clusters(const Header &header);

// Of version 4 (RFC 4122).
Uuid random_uuid();

// Creates the image, with mode 0600 less the umask, under a temporary name in the directory of `path`, locks it (with lock), writes
// and syncs it, and renames it to `path`, see durability::rename_file() also for `replace`. The image is durable
// when this returns. Returns the descriptor, open for reading and writing.
util::Fd create_file(const std::string &path, const Header &header, bool replace, bool lock = true);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// A new, empty image: header, refcount table, refcount blocks, L1 table. L2 tables, further blocks
// and data follow as they are needed.
#pragma once

#include <string>

#include "common/util/fd.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// Fills in where the tables go, for the header's size and cluster size. Throws util::Error EINVAL
// if the size is no multiple of 512, or needs tables beyond QEMU's limits.
void lay_out(Header &header);

// How many clusters lay_out has used; the L1 table comes last.
uint64_t initial_clusters(const Header &header);

// Creates the image under a name of its own, locks it (unless told not to), and renames it to `path` when it is complete
// and durable. replace: in place of a file that is there; else it is an error (EEXIST) if there is
// one by now. Returns the descriptor, open for reading and writing.
util::Fd create_file(const std::string &path, const Header &header, bool replace, bool lock = true);

}  // namespace qcow2

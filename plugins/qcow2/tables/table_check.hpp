// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the header and the tables of a file that may be damaged or hostile. Every reference is
// checked before it is followed. All functions throw util::Error, which says what to run on the
// image.
#pragma once

#include <cstdint>
#include <vector>

#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/cluster_map.hpp"

namespace qcow2 {

// Reads and checks the header.
Header read_header(const ImageFile &file);

// EFBIG if the file has more than max_opened_clusters. (A file may be long without data.)
void check_length(const ImageFile &file, const Geometry &geometry);

// Reads the refcount table: the offset of each refcount block, or 0. Adds the clusters of the
// header, the refcount table, the refcount blocks and the L1 table to `used`, which must be empty
// and have a place for each cluster of the file. EINVAL if one of them is outside the file or
// overlaps another. But a block outside the file of a dirty image is absent: the power may have failed
// when the table was durable and the new length was not.
std::vector<uint64_t> read_refcount_blocks(const ImageFile &file, const Header &header,
                                           AtomicBitmap &used);

// Reads the L1 table into `map`, which must be empty, and checks all L2 tables. Refuses an entry
// that points outside the file or to a cluster in `used`, except for compressed data, which may
// share host clusters with other compressed data; and one with reserved bits. The L2 tables and the
// clusters with data are added to `used`, which must have a place for each cluster of the file.
void check_tables(const ImageFile &file, const Header &header, AtomicBitmap &used, ClusterMap &map);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the header and the tables of a file that may be damaged or hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/atomic_table.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/file/image_file.hpp"

namespace qcow2 {

class Mapping;

// Reads and checks the header of the file. Throws util::Error.
Header read_header(const ImageFile &file);

// Throws util::Error if the file is so long that a bit for each cluster is too much memory: 128 MiB,
// which is for 64 TiB of 64 KiB clusters. (A file may be long and have no data.)
void check_length(const ImageFile &file, const Geometry &geometry);

// The offset of each refcount block, or 0. Adds the clusters of the header, of the refcount table and
// its blocks, and of the L1 table to `used`, which must be empty and as long as the file in clusters.
// Refuses with util::Error EINVAL what lies outside the file or over something else.
std::vector<uint64_t> load_refcount_blocks(const ImageFile &file, const Header &header,
                                           Bitmap &used);

// Reads the L1 table into an empty mapping, and checks all L2 tables. Refuses with util::Error what
// lies outside the file, is referenced twice (by others than compressed clusters) or is in `used`
// already, or has reserved bits. `used` must be as long as the file in clusters; the L2 tables and
// the clusters with data are added to it.
void load_tables(const ImageFile &file, const Header &header, Bitmap &used, Mapping &mapping);

// Throws util::Error if entries of an L2 table, as they are on disk, are not what load_tables has
// let pass or we have written: somebody else has changed the file.
void check_entries(std::span<const std::byte> entries, const Geometry &geometry,
                   const std::string &path);

// A piece of an L2 table as it is on disk.
struct TablePart {
  uint64_t table;                // offset of the table in the file
  uint64_t first;                // guest cluster
  uint64_t offset;               // of the entries in the file
  std::span<std::byte> entries;  // 8 bytes each
};

// Calls for every table, first with no entries, then with them, piece by piece; holes of the file are
// left out where the file system tells of them.
void walk_tables(const ImageFile &file, const Geometry &geometry, const EntryArray &l1,
                 const std::function<void(const TablePart &)> &visit);

}  // namespace qcow2

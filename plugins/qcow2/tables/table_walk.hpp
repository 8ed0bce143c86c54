// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/tables/atomic_table.hpp"

namespace qcow2 {

// A part of an L2 table in its form on disk.
struct TablePart {
  uint64_t table;                // offset of the table in the file
  uint64_t first;                // guest cluster of the first entry
  uint64_t offset;               // of the entries in the file
  std::span<std::byte> entries;  // 8 bytes each
};

// Reads all L2 tables from the file. Calls visit for each table: first without entries, then with
// them, part by part. Holes of the file are skipped if the file system reports them.
void walk_tables(const ImageFile &file, const Geometry &geometry, const AtomicTable &l1,
                 const std::function<void(const TablePart &)> &visit);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the header and the tables of a file that may be damaged or hostile.
#pragma once

#include <cstdint>
#include <string>

#include "common/util/fd.hpp"
#include "plugins/qcow2/bitmap.hpp"
#include "plugins/qcow2/format.hpp"
#include "plugins/qcow2/mapping.hpp"

namespace qcow2 {

// The length of a file in bytes, a block device's too. Throws util::Error.
uint64_t file_size(const util::Fd &fd, const std::string &path);

// Reads and checks the header of the file. Throws util::Error.
Header read_header(const util::Fd &fd, const std::string &path);

// Reads the L1 table and all L2 tables into an empty mapping. Refuses with util::Error what lies
// outside the file, is referenced twice or is in `used` already, has reserved bits, or is
// compressed. `used` must be as long as the file in clusters; the L2 tables and data clusters are
// added to it.
void load_tables(const util::Fd &fd, const std::string &path, const Header &header, Bitmap &used,
                 Mapping &mapping);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/format/l2_check.hpp"

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/format/entries.hpp"

namespace qcow2 {

void check_l2_entries(std::span<const std::byte> entries, const Geometry &geometry,
                      const std::string &path) {
  for (size_t at = 0; at < entries.size(); at += 8) {
    Entry entry = load_be<uint64_t>(&entries[at]);
    bool valid =
        is_compressed(entry)
            ? compressed_range(entry, geometry.cluster_bits()).offset >= geometry.cluster_size()
            : (entry & l2_reserved) == 0 && host_offset(entry) % geometry.cluster_size() == 0;
    if (valid) continue;
    util::fail(EIO, "{}: the L2 entry {:#x} is not valid: another program has written to the file",
               path, entry);
  }
}

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/write/zero_writer.hpp"

#include <optional>

namespace qcow2 {

void ZeroWriter::zero(uint64_t cluster) {
  auto partial = compressed_ != nullptr ? compressed_->own(cluster) : std::nullopt;
  zero_entry(cluster);
  if (partial) partial->drop();
}

// Over a backing file this is always an explicit zero cluster: an unallocated one would show the
// content of the backing file again.
void ZeroWriter::zero_entry(uint64_t cluster) {
  for (;;) {
    Entries entries = layer_.map.entries(cluster);
    if (entries && entries.is_claimed(cluster)) {
      entries.wait_unclaimed(cluster);
      continue;
    }
    Entry entry = entries.value(cluster);
    if (layer_.reads_zero_here(entry)) return;
    entries = tables_.prepare(cluster);
    if (!entries.replace_if(cluster, entry, zero_plain)) continue;
    tables_.changed(entries, entry);
    return;
  }
}

bool ZeroWriter::zero_without_data(extents::Range range) {
  const uint64_t cluster = layer_.geometry.cluster_of(range.offset);
  const Entry entry = layer_.map.entry(cluster);
  if (layer_.reads_zero_here(entry)) return true;
  // With compress= another thread may be collecting the content of the cluster.
  if (compressed_ != nullptr || !is_unallocated(entry) || !layer_.rest_is_zero(range)) return false;
  Entries entries = tables_.prepare(cluster);
  if (!entries.replace_if(cluster, entry, zero_plain)) {
    return false;  // changed or claimed meanwhile
  }
  tables_.changed(entries, entry);
  return true;
}

}  // namespace qcow2

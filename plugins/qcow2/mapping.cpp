// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/mapping.hpp"

#include <algorithm>

namespace qcow2 {

Mapping::Mapping(const Geometry &geometry, uint64_t l1_offset)
    : geometry_(geometry),
      l1_offset_(l1_offset),
      slice_entries_(std::min<uint64_t>(geometry.l2_entries(), 512)),
      l1_(geometry.l1_entries()),
      l2_(geometry.l1_entries() * geometry.l2_entries()),
      changed_l1_(l1_.size() / l1_slice_entries + 1),
      changed_l2_(l2_.size() / slice_entries_ + 1) {}

void Mapping::copy(std::vector<Change> &changes, bool of_l1, uint64_t slice) const {
  const EntryArray &entries = of_l1 ? l1_ : l2_;
  uint64_t count = of_l1 ? l1_slice_entries : slice_entries_;
  uint64_t first = slice * count;
  uint64_t last = std::min<uint64_t>(first + count, entries.size());
  uint64_t offset = l1_offset_ + first * 8;
  if (!of_l1) {
    uint64_t table = l1_.value(geometry_.table_of(first));
    offset = host_offset(table) + first % geometry_.l2_entries() * 8;
  }
  // Slices that follow each other become one write.
  bool follows = !changes.empty() && changes.back().of_l1 == of_l1 &&
                 changes.back().offset + changes.back().bytes.size() == offset;
  if (!follows) changes.push_back({offset, {}, {}, of_l1});
  Change &change = changes.back();
  size_t at = change.bytes.size();
  change.bytes.resize(at + (last - first) * 8);
  change.slices.push_back(slice);
  for (uint64_t i = first; i < last; ++i, at += 8) store_be64(&change.bytes[at], entries.value(i));
}

// The L1 table comes after the L2 tables: whoever adds a table has said so before an entry of it
// changes, so the L1 entry of every slice that is found changed is found as well. The other way
// round, an L1 entry on disk before its table's entries, is harmless: the table reads as zeroes
// there.
std::vector<Mapping::Change> Mapping::take_changes(size_t max_bytes) {
  std::vector<Change> changes;
  size_t bytes = 0;
  changed_l2_.take([&](uint64_t slice) {
    copy(changes, false, slice);
    bytes += slice_entries_ * 8;
    return bytes < max_bytes;
  });
  changed_l1_.take([&](uint64_t slice) {
    copy(changes, true, slice);
    return true;
  });
  return changes;
}

void Mapping::give_back(const std::vector<Change> &changes) {
  for (const Change &change : changes) {
    for (uint64_t slice : change.slices) (change.of_l1 ? changed_l1_ : changed_l2_).add(slice);
  }
}

}  // namespace qcow2

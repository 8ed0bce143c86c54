// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/table_walk.hpp"

#include <algorithm>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/format/entries.hpp"

namespace qcow2 {

namespace {

// The next data in the range, extended to whole pages.
extents::Range next_pages(const ImageFile &file, uint64_t offset, uint64_t end) {
  constexpr uint64_t page = 4096;
  extents::Range data = file.next_data(offset, end);
  if (data.empty()) return data;
  uint64_t start = std::max(offset, data.offset / page * page);
  uint64_t stop = std::min(end, Geometry::round_up(data.end(), page));
  return {start, stop - start};
}

}  // namespace

void walk_tables(const ImageFile &file, const Geometry &geometry, const AtomicTable &l1,
                 const std::function<void(const TablePart &)> &visit) {
  constexpr uint64_t max_part = 64u << 10;
  constexpr uint64_t small = 16u << 10;  // asking for the holes of a small table takes too long
  std::vector<std::byte> buffer(std::min(geometry.cluster_size(), max_part));
  for (uint64_t t = 0; t < l1.size(); ++t) {
    uint64_t table = host_offset(l1.value(t));
    if (table == 0) continue;
    visit({table, t * geometry.l2_entries(), table, {}});
    const uint64_t end = table + geometry.cluster_size();
    for (uint64_t at = table; at < end;) {
      extents::Range data{at, end - at};
      if (geometry.cluster_size() > small) data = next_pages(file, at, end);
      if (data.empty()) break;
      data.length = std::min<uint64_t>(data.length, buffer.size());
      std::span<std::byte> part = std::span(buffer).first(data.length);
      file.read_or_zero(part, data.offset);
      visit({table, t * geometry.l2_entries() + (data.offset - table) / 8, data.offset, part});
      at = data.end();
    }
  }
}

}  // namespace qcow2

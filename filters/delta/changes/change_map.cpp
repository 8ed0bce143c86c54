// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/change_map.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

#include "common/util/error.hpp"

namespace delta {

ChangeMap ChangeMap::of_list(std::vector<extents::Range> list, const std::string &origin) {
  constexpr auto largest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  auto before = [](const extents::Range &a, const extents::Range &b) {
    return a.offset < b.offset;
  };
  if (!std::is_sorted(list.begin(), list.end(), before))
    std::sort(list.begin(), list.end(), before);
  ChangeMap result;
  for (const extents::Range &range : list) {
    if (range.offset > largest || range.length > largest - range.offset) {
      util::fail(EINVAL, "{}: {} bytes at offset {} end beyond 2^63", origin, range.length,
                 range.offset);
    }
    if (range.empty()) continue;
    result.map_.append_until(range.offset, unchanged);
    result.map_.append_until(range.end(), changed);
  }
  return result;
}

void ChangeMap::check_size(uint64_t disk_bytes, const std::string &origin) const {
  if (disk_size_ && *disk_size_ != disk_bytes) {
    util::fail(EINVAL, "{}: that map is of a disk of {} bytes, and this disk has {}", origin,
               *disk_size_, disk_bytes);
  }
  if (map_.size() > disk_bytes) {
    util::fail(EINVAL, "{}: that list has changes up to offset {}, and this disk has {} bytes",
               origin, map_.size(), disk_bytes);
  }
}

uint64_t ChangeMap::unchanged_until(extents::Range range) const {
  if (range.offset >= map_.size()) return range.end();
  const extents::Extent first = map_.at(range.offset);
  if (first.type == changed) return range.offset;
  return first.end() < map_.size() ? std::min(first.end(), range.end()) : range.end();
}

void ChangeMap::split(
    extents::Range range,
    const std::function<void(const extents::Range &, bool has_changed)> &add) const {
  map_.for_each(range, [&](const extents::Extent &e) {
    add(e.range(), e.type == changed);
    return true;
  });
  const uint64_t beyond = std::max(range.offset, map_.size());
  if (beyond < range.end()) add({beyond, range.end() - beyond}, false);
}

}  // namespace delta

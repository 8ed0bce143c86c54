// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/extent_maps.hpp"

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "common/util/error.hpp"

namespace vsphere {

using extents::FrozenMap;

namespace {

constexpr extents::Type reads_as_zeroes = extents::hole | extents::zero;

// A map that is appended to, clipped to the capacity.
class Builder {
 public:
  explicit Builder(uint64_t capacity) : capacity_(capacity) {
    if (capacity > uint64_t{1} << 62) util::fail(EPROTO, "no disk has {} bytes", capacity);
  }

  void append_until(uint64_t end, extents::Type type) {
    map_.append_until(std::min(end, capacity_), type);
  }

  // The whole disk: the areas have the type `in`, everything between them the type `between`.
  void append_all(const std::vector<extents::Range> &areas, extents::Type in,
                  extents::Type between) {
    for (const auto &area : areas) {
      append_until(area.offset, between);
      append_until(area.end(), in);
    }
    append_until(capacity_, between);
  }

  FrozenMap take() { return std::move(map_); }

 private:
  const uint64_t capacity_;  // bytes
  FrozenMap map_;
};

}  // namespace

FrozenMap full_map(uint64_t capacity, const Allocated &allocated) {
  Builder map(capacity);
  if (allocated) {
    map.append_all(*allocated, extents::data, reads_as_zeroes);
  } else {
    map.append_until(capacity, extents::data);
  }
  return map.take();
}

FrozenMap delta_map(uint64_t capacity, const std::vector<extents::Range> &changed,
                    const Allocated &allocated) {
  Builder map(capacity);
  if (!allocated) {
    map.append_all(changed, extents::data, extents::hole);
    return map.take();
  }
  // Both lists are in order: each is walked once.
  auto area = allocated->begin();
  for (const auto &range : changed) {
    map.append_until(range.offset, extents::hole);
    while (area != allocated->end() && area->end() <= range.offset) ++area;
    for (; area != allocated->end() && area->offset < range.end(); ++area) {
      map.append_until(area->offset, reads_as_zeroes);
      map.append_until(std::min(area->end(), range.end()), extents::data);
      if (area->end() > range.end()) break;  // it may reach into the next range
    }
    map.append_until(range.end(), reads_as_zeroes);
  }
  map.append_until(capacity, extents::hole);
  return map.take();
}

uint64_t total_length(const std::vector<extents::Range> &ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), uint64_t{0},
                         [](uint64_t sum, const extents::Range &r) { return sum + r.length; });
}

}  // namespace vsphere

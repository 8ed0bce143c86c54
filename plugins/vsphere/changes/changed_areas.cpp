// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/changed_areas.hpp"

#include <cerrno>
#include <numeric>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

namespace {

[[noreturn]] void refuse(const AreaPage &page, uint64_t asked, const char *why) {
  util::fail(EPROTO,
             "QueryChangedDiskAreas from offset {} answered for {} bytes from {}, which cannot be "
             "trusted: {}",
             asked, page.length, page.start, why);
}

// What other programs took for granted, and lost data by.
void check(const AreaPage &page, uint64_t asked, uint64_t capacity) {
  if (page.start != asked) refuse(page, asked, "it does not begin there");
  if (page.length == 0) refuse(page, asked, "it covers nothing");
  if (page.length > capacity - asked) refuse(page, asked, "it goes beyond the disk");
  uint64_t end = page.start;
  for (const auto &area : page.areas) {
    if (area.offset < end) refuse(page, asked, "its areas overlap or are not in order");
    if (area.offset > page.start + page.length ||
        area.length > page.start + page.length - area.offset) {
      refuse(page, asked, "an area lies outside of it");
    }
    end = area.end();
  }
}

void append(std::vector<extents::Range> &ranges, const extents::Range &area) {
  if (area.empty()) return;
  if (!ranges.empty() && ranges.back().end() == area.offset) {
    ranges.back().length += area.length;
  } else {
    ranges.push_back(area);
  }
}

// The whole disk: the areas have one type, all between them the other.
void extend_by(DiskMap &map, const std::vector<extents::Range> &areas, extents::Type in,
               extents::Type between) {
  for (const auto &area : areas) {
    map.extend(area.offset, between);
    map.extend(area.end(), in);
  }
  map.extend(map.size(), between);
}

}  // namespace

AreaPage parse_area_page(pugi::xml_node info) {
  AreaPage page{soap::number(info, "startOffset"), soap::number(info, "length"), {}};
  for (pugi::xml_node area : soap::children(info, "changedArea")) {
    page.areas.push_back({soap::number(area, "start"), soap::number(area, "length")});
  }
  return page;
}

std::vector<extents::Range> all_areas(uint64_t capacity,
                                      const std::function<AreaPage(uint64_t start)> &query) {
  std::vector<extents::Range> areas;
  // Never asks at the capacity itself: servers call that an invalid argument.
  for (uint64_t next = 0; next < capacity;) {
    AreaPage page = query(next);
    check(page, next, capacity);
    for (const auto &area : page.areas) append(areas, area);
    next = page.start + page.length;
  }
  return areas;
}

DiskMap full_map(uint64_t capacity, const Allocated &allocated) {
  DiskMap map(capacity);
  if (!allocated) map.extend(capacity, extents::data);
  if (allocated) extend_by(map, *allocated, extents::data, extents::hole | extents::zero);
  return map;
}

DiskMap delta_map(uint64_t capacity, const std::vector<extents::Range> &changed,
                  const Allocated &allocated) {
  DiskMap map(capacity);
  if (!allocated) {
    extend_by(map, changed, extents::data, extents::hole);
    return map;
  }
  // Both lists are in order, so one walk through them is enough.
  auto area = allocated->begin();
  for (const auto &range : changed) {
    map.extend(range.offset, extents::hole);
    while (area != allocated->end() && area->end() <= range.offset) ++area;
    for (; area != allocated->end() && area->offset < range.end(); ++area) {
      map.extend(area->offset, extents::hole | extents::zero);
      map.extend(std::min(area->end(), range.end()), extents::data);
      if (area->end() > range.end()) break;  // the rest of it is for the next change
    }
    map.extend(range.end(), extents::hole | extents::zero);
  }
  map.extend(capacity, extents::hole);
  return map;
}

uint64_t bytes_of(const std::vector<extents::Range> &ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), uint64_t{0},
                         [](uint64_t sum, const extents::Range &r) { return sum + r.length; });
}

std::string_view epoch_of(std::string_view change_id) {
  auto slash = change_id.rfind('/');
  if (slash == std::string_view::npos || slash + 1 == change_id.size()) return {};
  return change_id.substr(0, slash);
}

}  // namespace vsphere

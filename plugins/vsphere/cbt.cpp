// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/cbt.hpp"

#include <cerrno>
#include <numeric>

#include "common/util/error.hpp"
#include "plugins/vsphere/soap.hpp"

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

extents::ExtentMap full_map(uint64_t capacity, const Allocated &allocated) {
  if (!allocated) return extents::ExtentMap(capacity, extents::data);
  extents::ExtentMap map(capacity, extents::hole | extents::zero);
  for (const auto &range : *allocated) map.set(range, extents::data);
  return map;
}

extents::ExtentMap delta_map(uint64_t capacity, const std::vector<extents::Range> &changed,
                             const Allocated &allocated) {
  extents::ExtentMap whole = full_map(capacity, allocated);
  extents::ExtentMap map(capacity, extents::hole);
  for (const auto &range : changed) {
    whole.for_each(range, [&](const extents::Extent &extent) {
      map.set(extent.range(), extent.type);
      return true;
    });
  }
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

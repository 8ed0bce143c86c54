// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/changed_areas.hpp"

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/client.hpp"

namespace vsphere {

namespace {

[[noreturn]] void refuse(const AreaPage &page, uint64_t asked, const char *why) {
  util::fail(
      EPROTO,
      "the server's answer to QueryChangedDiskAreas for offset {} is not valid: {} bytes from "
      "offset {}: {}",
      asked, page.length, page.start, why);
}

// A page that is wrong and believed would lose data: areas that it leaves out are not copied.
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

AreaPage query_changed_areas(Client &client, const SnapshotDisk &disk, const std::string &change_id,
                             uint64_t start) {
  soap::Reply reply = client.call("QueryChangedDiskAreas", disk.vm,
                                  soap::element("snapshot", disk.snapshot) +
                                      soap::element("deviceKey", std::to_string(disk.device_key)) +
                                      soap::element("startOffset", std::to_string(start)) +
                                      soap::element("changeId", change_id));
  return parse_area_page(soap::child(reply.response(), "returnval"));
}

std::vector<extents::Range> all_areas(uint64_t capacity,
                                      const std::function<AreaPage(uint64_t start)> &query) {
  std::vector<extents::Range> areas;
  // Servers refuse a start at the capacity itself as an invalid argument.
  for (uint64_t next = 0; next < capacity;) {
    AreaPage page = query(next);
    check(page, next, capacity);
    for (const auto &area : page.areas) append(areas, area);
    next = page.start + page.length;
  }
  return areas;
}

}  // namespace vsphere

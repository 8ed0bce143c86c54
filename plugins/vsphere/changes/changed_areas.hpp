// SPDX-License-Identifier: BSD-3-Clause
//
// Changed Block Tracking: the answers of QueryChangedDiskAreas put together to a map of the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/vsphere/changes/disk_map.hpp"

namespace vsphere {

// One answer (DiskChangeInfo): what has changed within [start, start + length) and nothing about
// the rest of the disk. Bytes.
struct AreaPage {
  uint64_t start = 0;
  uint64_t length = 0;
  std::vector<extents::Range> areas;
};

// Throws util::Error EPROTO.
AreaPage parse_area_page(pugi::xml_node disk_change_info);

// Asks page after page, each from where the one before ended, until the disk of `capacity` bytes is
// covered, and returns all areas in order, touching ones joined. A page without areas is a page
// like any other. Throws util::Error EPROTO at a page that does not begin where it was asked to, is
// empty, goes beyond the disk, or whose areas are not in order within it; and what query throws.
std::vector<extents::Range> all_areas(uint64_t capacity,
                                      const std::function<AreaPage(uint64_t start)> &query);

// Which of the disk's bytes are allocated; nothing: it could not be told.
using Allocated = std::optional<std::vector<extents::Range>>;

// The areas of the next two are in order and within the disk, as all_areas() gives them.

// The whole disk: what is allocated is data, all else a hole that reads as zeroes.
DiskMap full_map(uint64_t capacity, const Allocated &allocated);

// What has changed is data, or a hole that reads as zeroes where it is not allocated any more; what
// has not is a hole of unknown content: "not in this layer".
DiskMap delta_map(uint64_t capacity, const std::vector<extents::Range> &changed,
                  const Allocated &allocated);

uint64_t bytes_of(const std::vector<extents::Range> &ranges);

// A changeId is EPOCH/NUMBER. Two of the same disk are comparable only if their epochs are equal:
// tracking that is reset begins a new one. Empty if the text is no changeId.
std::string_view epoch_of(std::string_view change_id);

}  // namespace vsphere

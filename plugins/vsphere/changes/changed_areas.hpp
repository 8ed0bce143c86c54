// SPDX-License-Identifier: BSD-3-Clause
//
// QueryChangedDiskAreas of the vSphere API: one call, its answer, and the areas of a whole disk from a
// series of answers.
#pragma once

#include <cstdint>
#include <functional>
#include <pugixml.hpp>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

class Client;

// One answer (DiskChangeInfo): the areas within [start, start + length) that have changed. It says
// nothing about the rest of the disk. All in bytes.
struct AreaPage {
  uint64_t start = 0;
  uint64_t length = 0;
  std::vector<extents::Range> areas;
};

// Throws util::Error EPROTO.
AreaPage parse_area_page(pugi::xml_node disk_change_info);

// The disk to ask about, as it is in a snapshot.
struct SnapshotDisk {
  Ref vm;
  Ref snapshot;
  int64_t device_key = 0;
};

// One call. It asks from the offset `start` on for what has changed since `change_id`; "*" asks for
// what is allocated. Throws as Client::call does, and util::Error EPROTO.
AreaPage query_changed_areas(Client &client, const SnapshotDisk &disk, const std::string &change_id,
                             uint64_t start);

// Calls query(start) for page after page, each from the end of the one before, until the disk of
// `capacity` bytes is covered. Returns all areas in order; those that touch are joined. A page may
// have no areas. Throws util::Error EPROTO for a page that does not begin at `start`, has no length, goes
// beyond the disk, or has areas outside of it or out of order; and what query throws.
std::vector<extents::Range> all_areas(uint64_t capacity,
                                      const std::function<AreaPage(uint64_t start)> &query);

}  // namespace vsphere

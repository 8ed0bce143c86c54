// SPDX-License-Identifier: BSD-3-Clause
//
// Which map a disk gets: the whole disk, or what has changed since a checkpoint.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/api/disk_info.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "plugins/vsphere/http/retry.hpp"

namespace vsphere {

// All areas that have changed between a changeId ("*": that are allocated) and the snapshot.
using ChangeQuery = std::function<std::vector<extents::Range>(const std::string &change_id)>;

struct Tracked {
  DiskMap map;
  std::string since;                  // the changeId that the map starts from; empty: a full one
  std::optional<uint64_t> allocated;  // bytes; nothing: the server could not tell
  std::optional<uint64_t> changed;    // bytes; nothing in a full map
};

// `disk` is the snapshot's. Where tracking cannot say what has changed - it was reset, the disk has
// another size than the state says, the server does not know the changeId - the whole disk is in
// the map, with a warning, or, if fail_on_reset, util::Error ESTALE is thrown.
Tracked load_map(const DiskInfo &disk, const Since &since, bool fail_on_reset,
                 const ChangeQuery &query, const util::Log &log);

// One page of a query: faults that may pass are waited for, as the policy says; the last one, like
// all others, goes on.
AreaPage patiently(const RetryPolicy &policy, const util::Log &log,
                   const std::function<AreaPage()> &query);

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// Changed Block Tracking: which map a disk gets, of the whole disk or of what has changed since a
// checkpoint.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/frozen_map.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/api/disk_info.hpp"
#include "plugins/vsphere/changes/since.hpp"

namespace vsphere {

// Returns all areas that have changed between a changeId and the snapshot; for the changeId "*", all
// areas that are allocated in the snapshot.
using ChangeQuery = std::function<std::vector<extents::Range>(const std::string &change_id)>;

struct LoadedMap {
  extents::FrozenMap map;
  std::string since;                  // the changeId that the map starts from; empty: a full map
  std::optional<uint64_t> allocated;  // bytes; nothing: not known
  std::optional<uint64_t> changed;    // bytes; nothing in a full map
};

// `disk` is the snapshot's. Change tracking does not know what has changed if it was reset, if the disk
// had another size then, or if the server does not know the changeId. The map is a full one in these
// cases, with a warning; or, if fail_on_reset is true, util::Error ESTALE is thrown. Other errors of
// `query` go to the caller.
LoadedMap load_map(const DiskInfo &disk, const Since &since, bool fail_on_reset,
                   const ChangeQuery &query, const util::Log &log);

// With cbt=off: the whole disk. allocated: if the transport knows it.
LoadedMap untracked_map(const DiskInfo &disk,
                        const std::optional<std::vector<extents::Range>> &allocated);

}  // namespace vsphere

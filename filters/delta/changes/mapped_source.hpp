// SPDX-License-Identifier: BSD-3-Clause
//
// A disk of which a map from elsewhere tells what has changed (delta-map=).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/log.hpp"
#include "filters/delta/changes/change_map.hpp"
#include "filters/delta/changes/change_source.hpp"

namespace delta {

// Which point in time the map begins at, and which one the disk shows.
struct Points {
  std::string since;       // the checkpoint where the map begins
  std::string checkpoint;  // what a destination holds when the delta has been copied
  std::string
      disk_name;  // names the disk in its state, where the layer below does not; may be empty
  bool fail_on_reset =
      false;  // refuse a state of another checkpoint, instead of showing the whole disk
};

class MappedSource : public ChangeSource {
 public:
  // `origin` is "KEY=VALUE" of the parameter that named the map, for messages.
  MappedSource(ChangeMap map, Points points, std::string origin, const util::Log &log);

  // Mode "delta" if the destination holds the checkpoint where the map begins, or was being brought from
  // there to the present one; else "full", with a warning. Throws util::Error EINVAL if the map is of a disk
  // of another size, if the layer below tells itself what has changed, or, with fail_on_reset, instead of
  // "full".
  replication::SourceDescription describe(const std::string &lower, uint64_t size,
                                          const replication::State *state) override;

  // The layer below is not asked for what has not changed.
  void honest(SourceDisk &disk, extents::Range range, Clock::time_point until,
              const Add &add) override;

 private:
  const ChangeMap map_;
  const Points points_;
  const std::string origin_;
  const util::Log log_;
  // From this offset on everything has changed, whatever the map says: 0 where the whole disk is shown, else
  // where the disk ended when the state was written. Set by describe().
  std::atomic<uint64_t> changed_from_ = UINT64_MAX;
};

}  // namespace delta

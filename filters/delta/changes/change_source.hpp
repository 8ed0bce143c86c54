// SPDX-License-Identifier: BSD-3-Clause
//
// What tells what has changed, where the layer below does not.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "filters/delta/changes/source_disk.hpp"

namespace delta {

// Any thread may use it.
class ChangeSource {
 public:
  using Clock = std::chrono::steady_clock;
  using Add = std::function<void(const extents::Extent &)>;

  virtual ~ChangeSource() = default;

  // What the export says it shows; the same at each call. lower: the description of the layer below. state:
  // that of the destination, without a checkpoint if it does not exist yet; null if nobody named it. Throws
  // util::Error if that cannot be shown.
  virtual replication::SourceDescription describe(const std::string &lower, uint64_t size,
                                                  const replication::State *state) = 0;

  // After describe(). Calls add for the honest extents (nbdkit-replicate-delta(7)) of the beginning of
  // `range`, in order: at least one, and no more than can be told until the time has come.
  virtual void honest(SourceDisk &disk, extents::Range range, Clock::time_point until,
                      const Add &add) = 0;
};

}  // namespace delta

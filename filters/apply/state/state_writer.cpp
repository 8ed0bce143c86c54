// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/state_writer.hpp"

#include <algorithm>
#include <utility>

#include "common/util/error.hpp"

namespace apply {

using extents::Range;
using util::MutexLock;

StateWriter::StateWriter(std::string path, replication::State header, const DeltaMap &map,
                         const Coverage &coverage, util::Log log, Clock clock)
    : path_(std::move(path)),
      header_(std::move(header)),
      map_(map),
      coverage_(coverage),
      log_(std::move(log)),
      clock_(std::move(clock)),
      claimed_(map) {}

void StateWriter::begin() {
  if (begun_) return;
  MutexLock lock(file_mutex_);
  if (begun_) return;
  write();
  begun_ = true;
}

bool StateWriter::claims(Range range) const {
  MutexLock lock(claims_mutex_);
  return claimed_.intersects(range);
}

void StateWriter::save() {
  MutexLock lock(file_mutex_);
  write();
  begun_ = true;
}

void StateWriter::save_if_due() {
  if (!begun_ || clock_() < due_.load()) return;
  try {
    save();
  } catch (const util::Error &e) {
    log_.warning(
        "{}: the state file is not replaced, so the next run may copy more than is missing",
        e.what());
  }
}

void StateWriter::require_full_copy() {
  MutexLock lock(file_mutex_);
  if (!full_copy_required_) saved_.reset();
  full_copy_required_ = true;
  begun_ = true;
  write();
}

void StateWriter::write_full_copy() {
  if (saved_) return;
  replication::State state = header_;
  state.checkpoint.clear();
  state.owed = {{0, map_.size()}};
  replication::save_state(path_, state);
  saved_ = 0;
  MutexLock lock(claims_mutex_);
  claimed_ = DeltaSet(map_);
}

void StateWriter::write() {
  if (full_copy_required_) return write_full_copy();
  Coverage::Snapshot now{DeltaSet(map_), 0};
  {
    // Both under the lock: a thread that makes bytes missing in the coverage and then calls
    // claims() learns of a file that is about to be written without them. The bytes that the old
    // file claims stay claimed until the new one is in place.
    MutexLock lock(claims_mutex_);
    now = coverage_.durable();
    claimed_.add(now.durable);
  }
  if (saved_ != now.changes) {
    saved_.reset();
    auto start = clock_();
    replication::save_state(path_, header_,
                            [&](const auto &add) { now.durable.for_each_missing_range(add); });
    auto end = clock_();
    due_ =
        end + std::max<Clock::result_type::duration>(std::chrono::seconds(1), 19 * (end - start));
    saved_ = now.changes;
  }
  MutexLock lock(claims_mutex_);
  claimed_ = std::move(now.durable);
}

}  // namespace apply

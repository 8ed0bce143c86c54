// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/state_writer.hpp"

#include <algorithm>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace apply {

using extents::Range;
using util::MutexLock;

StateWriter::StateWriter(std::string path, replication::State header, const DeltaMap &map,
                         const Coverage &coverage, util::Log log, Clock clock, Confirm confirm)
    : path_(std::move(path)),
      map_(map),
      coverage_(coverage),
      log_(std::move(log)),
      clock_(std::move(clock)),
      confirm_(std::move(confirm)),
      header_(std::move(header)),
      claimed_(map),
      confirmed_(map) {}

void StateWriter::begin() {
  if (begun_) return;
  if (map_.delta_bytes() == 0) confirm();
  MutexLock lock(file_mutex_);
  if (begun_) return;
  write();
  begun_ = true;
}

void StateWriter::set_image(const std::string &uuid) {
  MutexLock lock(file_mutex_);
  if (header_.image == uuid) return;
  header_.image = uuid;
  saved_.reset();
}

void StateWriter::lose(Range range) {
  if (!confirm_) return;
  MutexLock lock(claims_mutex_);
  confirmed_.subtract(range);
  for (Asked &asked : asked_) {
    asked.durable.subtract(range);
    asked.whole = false;
  }
  ++confirmations_;
  confirmed_changes_.reset();
}

bool StateWriter::claims(Range range) const {
  MutexLock lock(claims_mutex_);
  return claimed_.intersects(range);
}

void StateWriter::confirm() {
  if (!confirm_) return;
  std::list<Asked>::iterator asked;
  {
    MutexLock lock(claims_mutex_);
    Coverage::Snapshot now = coverage_.durable();
    bool owes_all = now.durable.bytes() == 0 && map_.delta_bytes() > 0;
    if (owes_all || confirmed_changes_ == now.changes) return;
    asked = asked_.insert(asked_.end(), {std::move(now.durable), now.changes, true});
  }
  REPLICATE_SYNC_POINT("apply.before_confirm");
  try {
    confirm_();
  } catch (...) {
    MutexLock lock(claims_mutex_);
    asked_.erase(asked);
    throw;
  }
  REPLICATE_SYNC_POINT("apply.confirmed");
  MutexLock lock(claims_mutex_);
  confirmed_.add(asked->durable);
  ++confirmations_;
  if (asked->whole) confirmed_changes_ = asked->changes;
  asked_.erase(asked);
}

void StateWriter::save() {
  confirm();
  try {
    save_now();
  } catch (const util::Error &e) {
    util::fail(e.errnum(), "{}", unsaved(e));
  }
}

void StateWriter::save_now() {
  MutexLock lock(file_mutex_);
  write();
  begun_ = true;
}

// The file may be the old one or, if only the directory could not be synced, the new one.
std::string StateWriter::unsaved(const util::Error &why) const {
  return fmt::format("{}: apply-state={} cannot be saved: {}", why.what(), path_,
                     untrue_ ? "it may say that bytes are there that are not; unless it is saved "
                               "later, remove it to start with a full copy"
                             : "what was copied since it was last saved may count as not copied; "
                               "run the same command again when it can be saved");
}

void StateWriter::save_lost() {
  MutexLock lock(file_mutex_);
  untrue_ = true;
  write();
  begun_ = true;
}

void StateWriter::save_if_due() {
  if (untrue_) {
    try {
      return save_lost();
    } catch (const util::Error &e) {
      util::fail(e.errnum(), "{}", unsaved(e));
    }
  }
  if (!begun_ || clock_() < due_.load() || saving_if_due_.exchange(true)) return;
  struct End {
    std::atomic<bool> &saving;
    ~End() { saving = false; }
  } end{saving_if_due_};
  confirm();
  try {
    save_now();
  } catch (const util::Error &e) {
    log_.warning("{}", unsaved(e));
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
  saved_ = Version{};
  untrue_ = false;
  MutexLock lock(claims_mutex_);
  claimed_ = DeltaSet(map_);
}

void StateWriter::write() {
  if (full_copy_required_) return write_full_copy();
  DeltaSet there(map_);
  Version version{};
  {
    // Both under the lock: a thread that makes bytes missing in the coverage and then calls
    // claims() learns of a file that is about to be written without them. The bytes that the old
    // file claims stay claimed until the new one is in place.
    MutexLock lock(claims_mutex_);
    Coverage::Snapshot now = coverage_.durable();
    there = std::move(now.durable);
    if (confirm_) {
      confirmed_.intersect(there);
      there = confirmed_;
    }
    version = {now.changes, confirmations_};
    claimed_.add(there);
  }
  if (saved_ != version) {
    saved_.reset();
    auto start = clock_();
    replication::save_state(path_, header_,
                            [&](const auto &add) { there.for_each_missing_range(add); });
    auto end = clock_();
    due_ =
        end + std::max<Clock::result_type::duration>(std::chrono::seconds(1), 19 * (end - start));
    saved_ = version;
  }
  MutexLock lock(claims_mutex_);
  claimed_ = std::move(there);
  untrue_ = false;
}

}  // namespace apply

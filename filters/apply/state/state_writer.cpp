// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/state_writer.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace apply {

using extents::Range;

util::Fd lock_state(const std::string &path) {
  std::string directory = util::directory_of(path);
  if (::access(directory.c_str(), W_OK | X_OK) < 0) {
    util::fail_os(errno, "apply-state={}: cannot write to the directory {}", path, directory);
  }
  std::string lock_path = path + ".lock";
  util::Fd fd = util::open_file(lock_path, O_RDWR | O_CREAT);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) util::fail_os(errno, "cannot lock {}", lock_path);
  util::fail(
      EBUSY,
      "apply-state={}: another server is using this state file (it holds {}); one destination "
      "has one server, wait for its end",
      path, lock_path);
}

Keeper::Keeper(std::string path, replication::State header, const Mask &mask,
               const Coverage &coverage, util::Log log, Clock clock)
    : path_(std::move(path)),
      header_(std::move(header)),
      mask_(mask),
      coverage_(coverage),
      log_(std::move(log)),
      clock_(std::move(clock)),
      claimed_(mask) {}

void Keeper::begin() {
  if (begun_) return;
  std::lock_guard guard(saving_);
  if (begun_) return;
  write();
  begun_ = true;
}

bool Keeper::claims(Range range) const {
  std::lock_guard guard(lock_);
  return claimed_.intersects(range);
}

void Keeper::save() {
  std::lock_guard guard(saving_);
  write();
  begun_ = true;
}

void Keeper::save_if_due() {
  if (!begun_ || clock_() < due_.load()) return;
  try {
    save();
  } catch (const util::Error &e) {
    log_.warning("{}: the state stays as it was, which owes more than is missing", e.what());
  }
}

void Keeper::condemn() {
  std::lock_guard guard(saving_);
  if (!condemned_) saved_.reset();
  condemned_ = true;
  begun_ = true;
  write();
}

void Keeper::write_condemned() {
  if (saved_) return;
  replication::State state = header_;
  state.checkpoint.clear();
  state.owed = {{0, mask_.size()}};
  replication::save_state(path_, state);
  saved_ = 0;
  std::lock_guard guard(lock_);
  claimed_ = DeltaSet(mask_);
}

void Keeper::write() {
  if (condemned_) return write_condemned();
  Coverage::Snapshot now{DeltaSet(mask_), 0};
  {
    // Under one lock, so that who makes bytes missing and then asks claims() is told of a file that
    // is about to be written without them. And until that file is in place the old one may be.
    std::lock_guard guard(lock_);
    now = coverage_.settled();
    claimed_.add(now.settled);
  }
  if (saved_ != now.changes) {
    saved_.reset();
    auto start = clock_();
    replication::save_state(path_, header_,
                           [&](const auto &add) { now.settled.for_each_owed(add); });
    auto end = clock_();
    due_ =
        end + std::max<Clock::result_type::duration>(std::chrono::seconds(1), 19 * (end - start));
    saved_ = now.changes;
  }
  std::lock_guard guard(lock_);
  claimed_ = std::move(now.settled);
}

}  // namespace apply

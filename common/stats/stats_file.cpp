// SPDX-License-Identifier: BSD-3-Clause
#include "common/stats/stats_file.hpp"

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"

namespace stats {

namespace {

constexpr auto interval = std::chrono::seconds(2);

}  // namespace

void StatsFile::write_locked() {
  due_ = Clock::now() + interval;
  durability::replace_file_unsynced(path_, text_());
}

void StatsFile::try_write_locked() noexcept {
  try {
    write_locked();
  } catch (const std::exception &e) {
    if (!warned_) log_.warning("{}: {}", parameter_, e.what());
    warned_ = true;
  }
}

void StatsFile::write() {
  if (path_.empty()) return;
  util::MutexLock lock(mutex_);
  try {
    write_locked();
  } catch (const util::Error &e) {
    util::fail(e.errnum(), "{}: {}", parameter_, e.what());
  }
}

void StatsFile::write_if_due() noexcept {
  if (path_.empty()) return;
  if (!mutex_.try_lock()) return;
  if (Clock::now() >= due_) try_write_locked();
  mutex_.unlock();
}

void StatsFile::write_anyway() noexcept {
  if (path_.empty()) return;
  util::MutexLock lock(mutex_);
  try_write_locked();
}

}  // namespace stats

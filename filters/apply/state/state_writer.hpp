// SPDX-License-Identifier: BSD-3-Clause
//
// The state file: when it is written, and that it never owes less than what is missing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/replication/state_file.hpp"
#include "common/util/fd.hpp"
#include "common/util/log.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

// Keeps other servers from the same state file, as long as it lives: flock(2) on PATH.lock. The
// lock survives a fork. Throws util::Error EBUSY if another has it, and what open(2) says if the
// directory cannot be written to.
util::Fd lock_state(const std::string &path);

// May be used from any thread.
class Keeper {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  // `header` is the state to be written, but for what is owed. `mask` and `coverage` must outlive
  // it.
  Keeper(std::string path, replication::State header, const Mask &mask, const Coverage &coverage,
         util::Log log, Clock clock = std::chrono::steady_clock::now);

  // Before the first change of the destination: {the new checkpoint, owed: the whole delta} is
  // saved, once. Throws util::Error if it cannot be; then nothing may be changed.
  void begin();

  // The file may say that some of the range is not owed.
  bool claims(extents::Range range) const;

  // Saves what is owed now, unless the file says so already. Throws util::Error.
  void save();

  // The destination does not hold what was thought: the state says from now on that nothing is known
  // and all of the disk is owed, whatever arrives. Throws util::Error if it cannot be saved; it is
  // tried again with each save().
  void condemn();

  // After a flush: the same, but not more than once a second, and never more than a twentieth of
  // the time. It does not fail: a file that could not be replaced owes more than it must. Not
  // before begin().
  void save_if_due();

 private:
  void write();  // saving_ is held
  void write_condemned();

  const std::string path_;
  const replication::State header_;
  const Mask &mask_;
  const Coverage &coverage_;
  const util::Log log_;
  const Clock clock_;

  std::atomic<bool> begun_ = false;
  std::atomic<std::chrono::steady_clock::time_point> due_{};

  // Protects the file itself, so it is held while that is written; and the two below.
  std::mutex saving_;
  std::optional<uint64_t> saved_;  // Coverage::Snapshot::changes, as the file has it, if known
  bool condemned_ = false;

  mutable std::mutex lock_;  // protects claimed_; held for no I/O
  DeltaSet claimed_;         // bytes that the file, old or new, may say are not owed
};

}  // namespace apply

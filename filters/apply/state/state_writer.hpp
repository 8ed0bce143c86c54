// SPDX-License-Identifier: BSD-3-Clause
//
// When the state file is written, so that at any instant it owes at least what is missing at the
// destination (nbdkit-replicate-delta(7), "The state file").
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

// May be used from any thread.
class StateWriter {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  // `header` is what is written, except for `owed`. `map` and `coverage` must outlive it.
  StateWriter(std::string path, replication::State header, const DeltaMap &map,
              const Coverage &coverage, util::Log log,
              Clock clock = std::chrono::steady_clock::now);

  // Before each change of the destination. The first call saves the new checkpoint, with the whole
  // delta owed. Throws util::Error if that fails; then nothing may be changed.
  void begin() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // Whether the file may say that some of the range is not owed.
  bool claims(extents::Range range) const ABSL_LOCKS_EXCLUDED(claims_mutex_);

  // Saves what is owed now, unless that is what the file says. Throws util::Error.
  void save() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // After a flush: saves at most once a second, and spends at most a twentieth of the time on it.
  // Does nothing before begin(). A failure is a warning only: the file then owes more than is
  // missing.
  void save_if_due() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // The destination does not hold what the state says. From now on every save writes that nothing
  // is known and the whole disk is owed, whatever arrives. Throws util::Error if that cannot be
  // saved; each later save() tries again.
  void require_full_copy() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

 private:
  void write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  void write_full_copy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);

  const std::string path_;
  const replication::State header_;
  const DeltaMap &map_;
  const Coverage &coverage_;
  const util::Log log_;
  const Clock clock_;

  std::atomic<bool> begun_ = false;
  std::atomic<std::chrono::steady_clock::time_point> due_{};

  // Lock order: file_mutex_, claims_mutex_, Coverage's own.
  // The file itself is guarded too, so this one is held while the file is written.
  util::Mutex file_mutex_ ABSL_ACQUIRED_BEFORE(claims_mutex_);
  // Coverage::Snapshot::changes of what the file says; empty if that is not known.
  std::optional<uint64_t> saved_ ABSL_GUARDED_BY(file_mutex_);
  bool full_copy_required_ ABSL_GUARDED_BY(file_mutex_) = false;

  mutable util::Mutex claims_mutex_;  // held for no I/O
  // Bytes that the file, the old one or the one being written, may say are not owed.
  DeltaSet claimed_ ABSL_GUARDED_BY(claims_mutex_);
};

}  // namespace apply

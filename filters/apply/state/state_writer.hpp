// SPDX-License-Identifier: BSD-3-Clause
//
// When the state file is written, so that at any instant it owes at least what is missing at the
// destination (nbdkit-replicate-delta(7), "The state file").
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

// May be used from any thread.
class StateWriter {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  // Asks the source whether it still shows what it has shown since the start, which confirms what was
  // read of it before the call. Throws if it does not, or cannot be asked. May take as long as the
  // source's timeouts; called with no lock held.
  using Confirm = std::function<void()>;

  // `header` is what is written, except for `owed`, and for `image` after set_image(). `map` and `coverage` must outlive it. Without
  // `confirm` the source is taken at its word.
  StateWriter(std::string path, replication::State header, const DeltaMap &map,
              const Coverage &coverage, util::Log log, Clock clock = std::chrono::steady_clock::now,
              Confirm confirm = {});

  // Before each change of the destination. The first call saves the new checkpoint, with the whole
  // delta owed. Throws util::Error if that fails; then nothing may be changed. If the delta is empty,
  // that is a complete copy, so the source is asked first; throws what `confirm` throws.
  void begin() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // Whether the file is of this run.
  bool begun() const { return begun_; }

  // What the next save writes as `image`.
  void set_image(const std::string &uuid) ABSL_LOCKS_EXCLUDED(file_mutex_);

  // Before bytes become missing in the coverage: what confirmed them no longer counts. If the file
  // claims() them after that, save_lost() must follow.
  void lose(extents::Range range) ABSL_LOCKS_EXCLUDED(claims_mutex_);

  // Whether the file may say that some of the range is not owed.
  bool claims(extents::Range range) const ABSL_LOCKS_EXCLUDED(claims_mutex_);

  // Saves what is owed now, unless that is what the file says: asks the source, and leaves out what
  // was durable before it was asked. Throws util::Error if the file cannot be saved, and what
  // `confirm` throws; the file is then not reduced.
  void save() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // The same without asking: it leaves out only what was confirmed earlier, and is still durable. For a
  // file that claims what is missing; if it cannot be saved, the next save_if_due() tries again.
  void save_lost() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // After a flush: saves at most once a second, and spends at most a twentieth of the time on it.
  // Does nothing before begin(), or while another thread is in it. That the file cannot be saved is a
  // warning only: it then owes more than is missing. But after a save_lost() that has failed it saves at
  // once, and throws util::Error if that fails too. Throws what `confirm` throws.
  void save_if_due() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

  // The destination does not hold what the state says. From now on every save writes that nothing
  // is known and the whole disk is owed, whatever arrives. Throws util::Error if that cannot be
  // saved; each later save() tries again.
  void require_full_copy() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);

 private:
  void confirm() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);
  void save_now() ABSL_LOCKS_EXCLUDED(file_mutex_, claims_mutex_);
  std::string unsaved(const util::Error &why) const;
  void write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  void write_full_copy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);

  const std::string path_;
  const DeltaMap &map_;
  const Coverage &coverage_;
  const util::Log log_;
  const Clock clock_;
  const Confirm confirm_;  // empty: what is durable counts as confirmed

  std::atomic<bool> begun_ = false;
  std::atomic<bool> saving_if_due_ = false;
  std::atomic<bool> untrue_ = false;  // the file claims what is missing; changed under file_mutex_
  std::atomic<std::chrono::steady_clock::time_point> due_{};

  // Lock order: file_mutex_, claims_mutex_, Coverage's own.
  // The file itself is guarded too, so this one is held while the file is written.
  util::Mutex file_mutex_ ABSL_ACQUIRED_BEFORE(claims_mutex_);
  // What the file says; empty if that is not known.
  struct Version {
    uint64_t changes;        // Coverage::Snapshot::changes
    uint64_t confirmations;  // confirmations_
    bool operator==(const Version &) const = default;
  };
  std::optional<Version> saved_ ABSL_GUARDED_BY(file_mutex_);
  bool full_copy_required_ ABSL_GUARDED_BY(file_mutex_) = false;
  replication::State header_ ABSL_GUARDED_BY(file_mutex_);

  mutable util::Mutex claims_mutex_;  // held for no I/O
  // Bytes that the file, the old one or the one being written, may say are not owed.
  DeltaSet claimed_ ABSL_GUARDED_BY(claims_mutex_);
  // Durable bytes that the source has confirmed. The three that follow are used only with confirm_.
  DeltaSet confirmed_ ABSL_GUARDED_BY(claims_mutex_);
  uint64_t confirmations_ ABSL_GUARDED_BY(claims_mutex_) = 0;  // how often confirmed_ has changed
  // Coverage::Snapshot::changes of what is confirmed whole; empty: there is something to ask for.
  std::optional<uint64_t> confirmed_changes_ ABSL_GUARDED_BY(claims_mutex_);
  // What was durable when the source was asked, and is waiting for its answer.
  struct Asked {
    DeltaSet durable;  // less what was lost since
    uint64_t changes;
    bool whole;  // nothing was lost since
  };
  std::list<Asked> asked_ ABSL_GUARDED_BY(claims_mutex_);
};

}  // namespace apply

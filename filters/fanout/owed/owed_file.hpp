// SPDX-License-Identifier: BSD-3-Clause
//
// The state file of a destination: which ranges it owes. The format is replication::State.
//
// The file may owe more than is missing. It owes every range that is dirty, being copied, or in a
// client's request that is under way or not flushed: at every moment, also if nbdkit and the
// destination's server are killed, the destination differs from the primary only in what the file
// owes. (A destination that was taken for equal, and is not, is a loss: save_at_risk().)
//
// A save for each block would be slow. So the file claims whole regions (a 256th of the disk, at
// least 16 MiB) before the first request to one begins, and is reset from time to time to what is
// at risk and what has been written since the last time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/replication/state_file.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/mutex.hpp"
#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

// The name of the file in the directory: letters, digits, "-", "_" and "." (but not in front) stand
// as they are, other bytes are percent-encoded. So no two destinations have one file. Throws
// util::Error EINVAL if it is too long.
std::string owed_file_name(const std::string &destination);

// May be used from any thread. Without a directory it does nothing.
class OwedFile {
 public:
  // Locks and reads the file. If there is none, everything is owed (`new_owes_all`) or nothing.
  // Throws util::Error: the directory is not writable, another server holds the lock, or the file
  // is not ours.
  OwedFile(const std::string &directory, const std::string &destination, bool new_owes_all = false);

  bool used() const { return !path_.empty(); }
  const std::string &path() const { return path_; }
  // Whether there is a file; then export_name() is the export that it is of.
  bool found() const ABSL_LOCKS_EXCLUDED(saving_);
  const std::string &export_name() const { return state_.vm; }

  // The primary is this export of `size` bytes. Returns what was owed; only the first call does.
  // Throws EINVAL if the file is of another primary. Not while other methods run.
  std::vector<Range> open(uint64_t size, const std::string &export_name)
      ABSL_LOCKS_EXCLUDED(saving_, mutex_);

  // Called before a range may differ and the client's request is answered. Throws util::Error if
  // the file cannot be written.
  void claim(Range range) ABSL_LOCKS_EXCLUDED(saving_, mutex_);
  void claim(const DirtyMap &map) ABSL_LOCKS_EXCLUDED(saving_, mutex_);

  // The file is known to owe all of it. Without a file: false. Not with a lock that at_risk takes.
  bool owes(const DirtyMap &map) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Resets the file to the regions of what is at risk now. `at_risk` is called with mutex_ held;
  // what is claimed after that stays claimed. Returns an error message, or nothing; after an error
  // the file owes more than necessary.
  using AtRisk = std::function<DirtyMap()>;
  std::string reset_to_regions(const AtRisk &at_risk) ABSL_LOCKS_EXCLUDED(saving_, mutex_);
  // The same, exact to the block: for the end. Throws util::Error.
  void reset_to_blocks(const AtRisk &at_risk) ABSL_LOCKS_EXCLUDED(saving_, mutex_);

 private:
  enum class Grain { region, block };
  Range region(Range range) const;
  DirtyMap regions_of(const DirtyMap &map) const;
  void claim_regions(const DirtyMap &regions) ABSL_LOCKS_EXCLUDED(saving_, mutex_);
  void reset(const AtRisk &at_risk, Grain grain) ABSL_LOCKS_EXCLUDED(saving_, mutex_);
  void write(const DirtyMap &owed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(saving_);

  std::string path_;
  std::optional<util::FileLock> lock_;
  const bool new_owes_all_;
  // Changed by the constructor and open() only.
  replication::State state_;
  uint64_t region_ = 0;  // bytes

  // Lock order: saving_, mutex_, what `at_risk` takes.
  mutable util::Mutex saving_ ABSL_ACQUIRED_BEFORE(mutex_);  // held while the file is written
  bool written_ ABSL_GUARDED_BY(saving_) = false;
  bool exact_ ABSL_GUARDED_BY(saving_) = false;  // the file owes what claimed_ says, and no more
  mutable util::Mutex mutex_;                    // held for no I/O
  DirtyMap claimed_ ABSL_GUARDED_BY(mutex_);     // what both the old and the new file owe
};

}  // namespace fanout

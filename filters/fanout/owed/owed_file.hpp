// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination owes, in a file that is right at every instant: it may owe more than is missing,
// never less of what was acknowledged. The form is that of replication::State.
//
// A destination that falls behind would have to have each block saved before it is. Instead the file
// claims whole regions (a 256th of the disk, at least 16 MiB) before the first block of one becomes
// dirty, and is now and then set back to what is really at risk.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/replication/state_file.hpp"
#include "common/util/fd.hpp"
#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

// The file's name in the directory: letters, digits, "-", "." and "_" as they are, all else as %XX, so
// that no two names are one. Throws util::Error EINVAL if it is too long for a file.
std::string state_file_name(const std::string &destination);

// May be used from any thread. Without a directory it does nothing.
class StateFile {
 public:
  // Locks and reads the file, if there is one. If not, everything is owed or nothing, as
  // `new_owes_all` says. Throws util::Error: the directory cannot be written to, another server has
  // it, or the file is none of ours.
  StateFile(const std::string &directory, const std::string &destination,
            bool new_owes_all = false);

  bool used() const { return !path_.empty(); }
  const std::string &path() const { return path_; }
  // There was one, of this export.
  bool found() const { return written_; }
  const std::string &export_name() const { return state_.vm; }

  // The primary is this export of `size` bytes. Returns what was owed; hands it out once. Throws
  // EINVAL if the file is of another.
  std::vector<Range> open(uint64_t size, const std::string &export_name);

  // Before something in the range may differ, and the client is told that it was written. Throws
  // util::Error if the file cannot be written.
  void claim(Range range);
  void claim(const DirtyMap &map);

  // Sets the file back to what is at risk now, by regions. `at_risk` is called under the lock: what
  // is claimed afterwards stays claimed. Does not throw; returns what went wrong, else nothing (then
  // the file owes more than it must).
  using AtRisk = std::function<DirtyMap()>;
  std::string set_back(const AtRisk &at_risk);
  // The same, to the block: for the end. Throws util::Error.
  void set_exactly(const AtRisk &at_risk);

 private:
  Range region(Range range) const;
  void claim_regions(const std::function<void(DirtyMap &)> &add);
  void replace(const AtRisk &at_risk, bool exactly);
  void write(const DirtyMap &owed);

  std::string path_;
  util::Fd locked_;
  replication::State state_;
  const bool new_owes_all_;
  uint64_t region_ = 0;  // bytes
  bool written_ = false;

  std::mutex saving_;  // protects the file, so it is held while that is written
  std::mutex lock_;    // protects claimed_; held for no I/O
  DirtyMap claimed_;   // what the file, old or new, surely owes
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// What is owed according to the state files of the destinations (delta-owed=).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/extents/range_set.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"

namespace delta {

// Never changes: any thread may use it.
class OwedStates {
 public:
  OwedStates() = default;  // nothing is owed
  // One state, for whatever disk is asked for; nothing is owed without it. `path` is for messages.
  OwedStates(std::optional<replication::State> state, const std::string &path);

  // The value of delta-owed=: a state file, or a directory with one for each disk
  // (common/replication/state_directory.hpp). Throws util::Error.
  static OwedStates load(const std::string &path);

  // What is owed of a disk of `size` bytes whose export has this description; shared by all
  // callers. What a disk has grown by since the state was written is owed. Throws util::Error EINVAL if the state is that of another source, disk or size, as far
  // as the description says. With a directory, nothing is owed of a disk that has no state in it,
  // nor of one whose description does not name it (its source then knows no changes and shows the
  // whole disk).
  std::shared_ptr<const extents::RangeSet> of(const std::string &description, uint64_t size) const;

  // The state of a disk with this description, without what it owes; an empty one (without a checkpoint)
  // if it does not exist yet; null if no state was asked for. A disk whose description does not name it is
  // shown as disk 0 (ChangeSource::describe()).
  const replication::State *state_of(const std::string &description) const;

 private:
  struct DiskState {
    replication::State state;  // without its owed, which is in `owed`
    std::string path;
    std::shared_ptr<const extents::RangeSet> owed;
  };
  static DiskState disk_state(replication::State state, const std::string &path);
  const DiskState *find(const std::optional<replication::SourceDescription> &source) const;

  bool named_ = false;                    // not default-constructed
  std::optional<DiskState> only_;         // of a file
  std::map<int64_t, DiskState> by_disk_;  // of a directory
};

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
//
// What an unfinished run owes, as the state file of its destination says.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"
#include "common/extents/range_set.hpp"

namespace delta {

// Never changes: any thread may use it.
class Owed {
 public:
  Owed() = default;  // nothing
  // path is for messages; without a state nothing is owed.
  Owed(std::optional<replication::State> state, const std::string &path);

  // delta-owed=PATH: a state, or a directory with one for each disk (common/replication/state_directory.hpp).
  // Throws util::Error.
  static Owed load(const std::string &path);

  // For a disk of `size` bytes with that description; shared by all that ask. Throws util::Error EINVAL
  // if the state is that of another source, disk or size (free text says nothing). With a directory,
  // a disk that has no state there is owed nothing, and neither is one that does not say which it is:
  // its source does not know what has changed, so all of it is in the delta.
  std::shared_ptr<const extents::RangeSet> of(const std::string &description, uint64_t size) const;

 private:
  struct OfOne {
    replication::State state;  // its list moved to ranges
    std::string path;
    std::shared_ptr<const extents::RangeSet> ranges;
  };
  static OfOne of_one(replication::State state, const std::string &path);
  const OfOne *find(const std::optional<replication::SourceDescription> &source) const;

  std::optional<OfOne> only_;       // of a file
  std::map<int64_t, OfOne> disks_;  // of a directory
};

}  // namespace delta

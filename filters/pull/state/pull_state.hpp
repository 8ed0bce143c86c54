// SPDX-License-Identifier: BSD-3-Clause
//
// What is owed when the server starts, by the state file and the source.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/range_set.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_file.hpp"

namespace pull {

// The source, as it was found at the start.
struct FoundSource {
  uint64_t size;  // bytes
  std::optional<replication::SourceDescription> description;
  // Calls add(extent) for the whole disk; only called where the source shows changes that matter.
  std::function<void(const std::function<void(const extents::Extent &)> &add)> read_map;
};

struct PullState {
  replication::State header;              // what is written to the file, except for `owed`
  extents::RangeSet owed;                 // of header.size bytes
  bool changes_only;                      // the source shows what has changed since a checkpoint
  std::string held;                       // the checkpoint that the file named; empty: none
  bool is_new;                            // nothing of what the destination holds is relied on
  std::vector<extents::Extent> map = {};  // of the source, if it was read; the whole disk
};

// `old` is the content of the file PATH, if it exists; `source` is empty if it cannot be reached, for the
// reason `unreachable`. Throws util::Error EINVAL, with what to do, if the destination cannot become what the
// source shows, or if that is not known.
PullState begin_state(const std::string &path, const std::optional<replication::State> &old,
                      const std::optional<FoundSource> &source, const std::string &unreachable);

// pull-copy: what the source shows, holes that are zero excepted. Throws util::Error EINVAL if that is no delta view.
PullState begin_copy(const FoundSource &source);

// Why the source, found again, does not show the disk of the state, at whatever checkpoint; empty if it does.
std::string other_disk(const replication::State &state, uint64_t size,
                       const std::string &description);
// Why it is not the one of the state: the same, or another checkpoint; empty if it is.
std::string difference(const replication::State &state, uint64_t size,
                       const std::string &description);

}  // namespace pull

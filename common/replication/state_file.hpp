// SPDX-License-Identifier: BSD-3-Clause
//
// The state file of a destination: the destination holds the source as of `checkpoint`, except for
// what is owed. The apply filter writes it; a source (since=@FILE) and the delta filter
// (delta-owed=FILE) read it. Format and rules: nbdkit-replicate-delta(7).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/replication/source_description.hpp"

namespace replication {

struct State {
  std::string checkpoint;  // empty: nothing is known, the next run is a full copy
  std::string source;      // this and the next three as in the description of the source
  std::string vm;
  int64_t disk = 0;
  uint64_t size = 0;                 // of the disk, in bytes
  std::vector<extents::Range> owed;  // sorted, disjoint, within size
  std::string destination = {};      // the user's name for the destination; empty: none
  std::string image = {};            // UUID of the destination's image; empty: it has none
  // "unchanged" or "written": nbdkit-pull-filter has written it, and clients of that have not, or have,
  // changed the destination; empty: another program.
  std::string pull = {};

  uint64_t owed_bytes() const;
};

// Nothing if there is no such file. Throws util::Error EINVAL, with what to do, if it is not a
// state file or is damaged.
std::optional<State> load_state(const std::string &path);

// Atomic and durable (durability::replace_file).
void save_state(const std::string &path, const State &state);

// The same with so many owed ranges that they are not kept in a list: each(add) calls add(range)
// for one after the other. state.owed is not used.
using EachOwed = std::function<void(const std::function<void(const extents::Range &)> &add)>;
void save_state(const std::string &path, const State &state, const EachOwed &each);

// What to do about a destination that is smaller than the source, which has `size` bytes; for messages.
std::string enlarge(uint64_t size);

// The destination of the state is a replica no more: clients of nbdkit-pull-filter have changed it.
bool is_written(const State &state);

// Checks that the state is of the disk of `size` bytes that `source` describes (nothing: the source
// does not say what it is, and only the size is checked), which may have grown since, and that the source shows all that has
// changed since the state's checkpoint. Throws util::Error EINVAL, with what to do. `parameter` is
// "KEY=FILE" of the parameter that named the state.
void check_belongs(const State &state, const std::optional<SourceDescription> &source,
                   uint64_t size, const std::string &parameter);

}  // namespace replication

// SPDX-License-Identifier: BSD-3-Clause
//
// The state file of a destination: "it holds the source as of `checkpoint`, except for what is
// owed". Written by apply; read by a source (since=@FILE) and by delta (delta-owed=FILE).
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
  std::string checkpoint;  // empty: nothing is known, a full copy is owed
  std::string source;      // as in the description of the source
  std::string vm;
  int64_t disk = 0;
  uint64_t size = 0;                 // of the disk, in bytes
  std::vector<extents::Range> owed;  // sorted, disjoint, within size
  std::string destination = {};      // what its owner calls it; empty: no name was given

  uint64_t owed_bytes() const;
};

// Nothing if there is no such file. Throws util::Error EINVAL, with how to start anew, if it is not
// one of ours or is damaged.
std::optional<State> load_state(const std::string &path);

// Atomic and durable (util::replace_file).
void save_state(const std::string &path, const State &state);

// The same for what is owed in so many ranges that they are not kept in a list: each(add) calls
// add(range) for one after the other. state.owed is not looked at.
using EachOwed = std::function<void(const std::function<void(const extents::Range &)> &add)>;
void save_state(const std::string &path, const State &state, const EachOwed &each);

// Throws util::Error EINVAL, with what to do, unless the state is of the disk of `size` bytes that
// `source` describes (nothing: a source that does not say; then the size alone can be checked), and
// what the source shows contains all that has changed since the state's checkpoint. `parameter` is
// the one that named the state, as "key=FILE".
void check_belongs(const State &state, const std::optional<SourceDescription> &source,
                   uint64_t size, const std::string &parameter);

std::string format(const State &state);
State parse_state(const std::string &text, const std::string &origin);

}  // namespace replication

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/initial_state.hpp"

#include <cerrno>

#include "common/util/error.hpp"

namespace apply {

namespace {

void check_destination_name(const replication::State &old, const std::string &path,
                            const std::string &destination) {
  if (old.destination.empty() || old.destination == destination) return;
  std::string given =
      destination.empty() ? "apply-destination= was not given" : "apply-destination=" + destination;
  util::fail(EINVAL,
             "apply-state={}: that state is of the destination \"{}\", but {}: give the "
             "destination's own state file, or remove it to start with a full copy",
             path, old.destination, given);
}

void check_owed(const replication::State &old, const std::string &path, const DeltaMap &delta) {
  for (const extents::Range &range : old.owed) {
    if (delta.delta_bytes(range) == range.length) continue;
    util::fail(EINVAL,
               "apply-state={}: {} bytes at offset {} are owed, but are not in the source's delta: "
               "start its delta filter with delta-owed= and this state file",
               path, range.length, range.offset);
  }
}

// A disk that has grown: all that is new has to be copied.
void check_growth(const replication::State &old, const std::string &path, const DeltaMap &delta) {
  if (delta.size() <= old.size) return;
  const extents::Range added{old.size, delta.size() - old.size};
  if (delta.delta_bytes(added) == added.length) return;
  util::fail(EINVAL,
             "apply-state={}: the disk has grown from {} to {} bytes, but what is new is not in "
             "the source's "
             "delta: start its delta filter with delta-owed= and this state file",
             path, old.size, delta.size());
}

}  // namespace

InitialState initial_state(const std::string &path, const std::string &destination,
                           const std::optional<replication::SourceDescription> &source,
                           const DeltaMap &delta, const util::Log &log) {
  auto old = replication::load_state(path);
  InitialState state;
  if (source) {
    state = {{source->checkpoint, source->source, source->vm, source->disk, 0, {}}, {}};
  } else if (old) {
    // The source does not contradict the state, so it is still that of the same disk.
    state = {{"", old->source, old->vm, old->disk, 0, {}}, {}};
  }
  state.size = delta.size();
  state.destination = destination;
  if (old) {
    state.image = old->image;
    state.held = old->checkpoint;
    replication::check_belongs(*old, source, delta.size(), "apply-state=" + path);
    check_destination_name(*old, path, destination);
    check_owed(*old, path, delta);
    check_growth(*old, path, delta);
  } else if (source && source->mode == "delta") {
    log.warning(
        "apply-state={} does not exist yet: the destination is assumed to hold the source as "
        "of \"{}\"",
        path, source->since);
  }
  return state;
}

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/state/pull_state.hpp"

#include <cerrno>

#include "common/util/error.hpp"

namespace pull {

using extents::RangeSet;
using replication::SourceDescription;
using replication::State;

namespace {

constexpr const char *anew =
    "nothing was changed; remove the state to begin anew, which fetches everything again";

// The state says nothing that is to be kept.
bool owes_all(const State &state) {
  return state.owed_bytes() == state.size && !replication::is_written(state);
}

RangeSet owed_of(const State &state) {
  RangeSet owed(state.size);
  for (const extents::Range &range : state.owed) owed.add(range);
  return owed;
}

bool is_of(const State &state, const SourceDescription &source) {
  return source.source == state.source && source.vm == state.vm && source.disk == state.disk;
}

bool shows_changes_since(const State &state, const FoundSource &source) {
  const auto &d = source.description;
  return d && d->mode == "delta" && source.size == state.size && is_of(state, *d) &&
         !state.checkpoint.empty() && d->since == state.checkpoint &&
         d->checkpoint != state.checkpoint;
}

State header_of(const FoundSource &source) {
  State header;
  if (source.description) {
    const SourceDescription &d = *source.description;
    header = {d.checkpoint, d.source, d.vm, d.disk, 0, {}};
  }
  header.size = source.size;
  return header;
}

// Adds what a delta view shows. Also calls seen(extent) for all of it.
template <typename F>
void add_delta(RangeSet &owed, const FoundSource &source, F &&seen) {
  source.read_map([&](const extents::Extent &e) {
    if (e.type == extents::hole) {
      util::fail(
          EINVAL,
          "pull-from: this is not a delta view: it has a hole that is not zero at offset {}: put "
          "nbdkit-delta-filter over the source, and do not use its export \"honest\"",
          e.offset);
    }
    if (e.type != (extents::hole | extents::zero)) owed.add(e.range());
    seen(e);
  });
}

PullState begin_anew(const FoundSource &source, const std::optional<State> &old) {
  State header = header_of(source);
  if (old) header.destination = old->destination;
  RangeSet owed(source.size);
  owed.add({0, source.size});
  return {header, owed, source.description && source.description->mode == "delta", "", true};
}

PullState go_on(const State &old, bool changes_only) {
  State header = old;
  header.owed.clear();
  return {header, owed_of(old), changes_only, old.checkpoint, false};
}

// From the checkpoint of the state to that of the source: what has changed since is owed too. If clients have written,
// nothing of what is owed may have changed: then it is the same at both checkpoints.
PullState go_further(const std::string &path, const State &old, const FoundSource &source) {
  PullState state = go_on(old, true);
  state.header.checkpoint = source.description->checkpoint;
  RangeSet changed(source.size);
  add_delta(changed, source, [](auto &) {});
  if (!replication::is_written(old)) {
    for (const extents::Range &range : changed.ranges()) state.owed.add(range);
    return state;
  }
  for (const extents::Range &range : old.owed) {
    if (!changed.intersects(range)) continue;
    util::fail(EINVAL,
               "pull-state={}: the destination has been used since \"{}\", and what it still owes "
               "has changed at the source (at offset {} or after it): what is here would be of two "
               "points in time; nothing was changed; start the source with the checkpoint \"{}\", "
               "or use a new destination",
               path, old.checkpoint, range.offset, old.checkpoint);
  }
  return state;
}

// What the file says of the source against what it says of itself.
[[noreturn]] void refuse(const std::string &path, const State &old, const std::string &why) {
  util::fail(EINVAL, "pull-state={}: {}; {}{}", path, why,
             replication::is_written(old) ? "what was written to the destination is kept; " : "",
             anew);
}

}  // namespace

PullState begin_state(const std::string &path, const std::optional<State> &old,
                      const std::optional<FoundSource> &source, const std::string &unreachable) {
  if (!old || (owes_all(*old) && source)) {
    if (!source) util::fail(EIO, "{}", unreachable);
    return begin_anew(*source, old);
  }
  const bool is_whole = old->owed.empty();
  if (source && shows_changes_since(*old, *source) &&
      !(is_whole && replication::is_written(*old))) {
    return go_further(path, *old, *source);
  }
  if (is_whole) return go_on(*old, false);
  if (old->checkpoint.empty() && old->pull.empty()) {
    refuse(path, *old, "that state does not say of which instant what it holds is");
  }
  if (!source)
    return go_on(*old, true);  // its zeroes are not relied on; it is compared when it is there
  const auto &d = source->description;
  const std::string why = difference(*old, source->size, d ? replication::format(*d) : "");
  if (!why.empty()) refuse(path, *old, why);
  return go_on(*old, d && d->mode == "delta");
}

PullState begin_copy(const FoundSource &source) {
  PullState state{header_of(source), RangeSet(source.size), true, "", true};
  add_delta(state.owed, source, [&](const extents::Extent &e) { state.map.push_back(e); });
  return state;
}

std::string other_disk(const State &state, uint64_t size, const std::string &description) {
  if (size != state.size) {
    return fmt::format("that state is of a disk of {} bytes, and the source has {}", state.size,
                       size);
  }
  const auto source = replication::parse_description(description);
  if (!source) {
    if (state.source.empty()) return "";  // it is taken at its word
    return fmt::format(
        "that state is of {} {} disk {} as of \"{}\", and the source does not say what it shows",
        state.source, state.vm, state.disk, state.checkpoint);
  }
  if (!is_of(state, *source)) {
    return fmt::format("that state is of {} {} disk {}, and the source is {} {} disk {}",
                       state.source, state.vm, state.disk, source->source, source->vm,
                       source->disk);
  }
  return "";
}

std::string difference(const State &state, uint64_t size, const std::string &description) {
  std::string other = other_disk(state, size, description);
  if (!other.empty()) return other;
  const auto source = replication::parse_description(description);
  if (!source || source->checkpoint == state.checkpoint) return "";
  return fmt::format("what is here is of \"{}\", and the source shows \"{}\"", state.checkpoint,
                     source->checkpoint);
}

}  // namespace pull

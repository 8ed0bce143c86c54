// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/state_file.hpp"

#include <cerrno>
#include <numeric>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_json.hpp"
#include "common/util/error.hpp"

namespace replication {

uint64_t State::owed_bytes() const {
  return std::accumulate(owed.begin(), owed.end(), uint64_t{0},
                         [](uint64_t sum, const extents::Range &r) { return sum + r.length; });
}

std::optional<State> load_state(const std::string &path) {
  return read_state(path);
}

void save_state(const std::string &path, const State &state) {
  save_state(path, state, each_of(state.owed));
}

void save_state(const std::string &path, const State &state, const EachOwed &each) {
  durability::replace_file(path,
                           [&](const durability::Write &out) { write_state(state, each, out); });
}

std::string enlarge(uint64_t size) {
  return fmt::format("make the destination at least {} bytes long (qemu-img resize, truncate)",
                     size);
}

bool is_written(const State &state) {
  return state.pull == "written";
}

void check_belongs(const State &state, const std::optional<SourceDescription> &source,
                   uint64_t size, const std::string &parameter) {
  // The state has no source if the source of the last run did not say what it is.
  bool known = source && !state.source.empty();
  if (is_written(state)) {
    util::fail(
        EINVAL,
        "{}: the destination has been used since (nbdkit-pull-filter), and what was written to "
        "it would be lost; nothing was changed; give a new destination with a new state file",
        parameter);
  }
  if (known &&
      (source->source != state.source || source->vm != state.vm || source->disk != state.disk)) {
    util::fail(EINVAL,
               "{}: that state is of {} {} disk {}, the source is {} {} disk {}; give the "
               "destination's own state file, or remove it to start with a full copy",
               parameter, state.source, state.vm, state.disk, source->source, source->vm,
               source->disk);
  }
  if (state.size > size) {
    util::fail(EINVAL,
               "{}: that state is of a disk of {} bytes, and the source has {}: the disk has "
               "shrunk{}; nothing "
               "was changed; remove the state to start with a full copy",
               parameter, state.size, size, known ? "" : ", or is another one");
  }
  if (state.size < size && !known) {
    util::fail(
        EINVAL,
        "{}: that state is of a disk of {} bytes, and the source has {}: the source does not say "
        "whether the disk has grown or is another one; nothing was changed; remove the state to "
        "start "
        "with a full copy",
        parameter, state.size, size);
  }
  if (!source) return;
  // The state of a run that was interrupted has the source's own checkpoint.
  if (source->mode == "delta" && source->since != state.checkpoint &&
      (state.checkpoint.empty() || source->checkpoint != state.checkpoint)) {
    util::fail(EINVAL,
               "{}: the source shows what has changed since \"{}\", but the destination holds "
               "\"{}\"; start the source with since=@ and this state file",
               parameter, source->since, state.checkpoint);
  }
}

}  // namespace replication

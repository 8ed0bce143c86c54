// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/owed_states.hpp"

#include <utility>

#include "common/replication/state_directory.hpp"

namespace delta {

OwedStates::OwedStates(std::optional<replication::State> state, const std::string &path) {
  named_ = true;
  if (state) only_ = disk_state(*std::move(state), path);
}

OwedStates OwedStates::load(const std::string &path) {
  if (!replication::names_directory(path)) return {replication::load_state(path), path};
  OwedStates states;
  states.named_ = true;
  for (auto &[disk, state] : replication::load_states(path)) {
    states.by_disk_.emplace(disk,
                            disk_state(std::move(state), replication::state_path(path, disk)));
  }
  return states;
}

OwedStates::DiskState OwedStates::disk_state(replication::State state, const std::string &path) {
  auto owed = std::make_shared<extents::RangeSet>(state.size);
  for (const auto &range : state.owed) owed->add(range);
  state.owed = {};
  return {std::move(state), path, std::move(owed)};
}

const OwedStates::DiskState *OwedStates::find(
    const std::optional<replication::SourceDescription> &source) const {
  if (only_) return &*only_;
  auto it = source ? by_disk_.find(source->disk) : by_disk_.end();
  return it == by_disk_.end() ? nullptr : &it->second;
}

const replication::State *OwedStates::state_of(const std::string &description) const {
  const DiskState *found =
      find(replication::parse_description(description).value_or(replication::SourceDescription{}));
  if (found != nullptr) return &found->state;
  static const replication::State not_yet;
  return named_ ? &not_yet : nullptr;
}

std::shared_ptr<const extents::RangeSet> OwedStates::of(const std::string &description,
                                                        uint64_t size) const {
  auto source = replication::parse_description(description);
  const DiskState *found = find(source);
  if (found == nullptr) return std::make_shared<extents::RangeSet>(size);
  replication::check_belongs(found->state, source, size, "delta-owed=" + found->path);
  if (found->state.size == size) return found->owed;
  // The disk has grown: the destination has nothing of what is new.
  auto owed = std::make_shared<extents::RangeSet>(size);
  for (const auto &range : found->owed->ranges()) owed->add(range);
  owed->add({found->state.size, size - found->state.size});
  return owed;
}

}  // namespace delta

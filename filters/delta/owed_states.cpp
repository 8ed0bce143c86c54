// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/owed_states.hpp"

#include <utility>

#include "common/replication/state_directory.hpp"

namespace delta {

Owed::Owed(std::optional<replication::State> state, const std::string &path) {
  if (state) only_ = of_one(*std::move(state), path);
}

Owed Owed::load(const std::string &path) {
  if (!replication::names_directory(path)) return Owed(replication::load_state(path), path);
  Owed owed;
  for (auto &[disk, state] : replication::load_states(path)) {
    owed.disks_.emplace(disk, of_one(std::move(state), replication::state_path(path, disk)));
  }
  return owed;
}

Owed::OfOne Owed::of_one(replication::State state, const std::string &path) {
  auto ranges = std::make_shared<extents::RangeSet>(state.size);
  for (const auto &range : state.owed) ranges->add(range);
  state.owed = {};
  return {std::move(state), path, std::move(ranges)};
}

const Owed::OfOne *Owed::find(const std::optional<replication::SourceDescription> &source) const {
  if (only_) return &*only_;
  auto it = source ? disks_.find(source->disk) : disks_.end();
  return it == disks_.end() ? nullptr : &it->second;
}

std::shared_ptr<const extents::RangeSet> Owed::of(const std::string &description,
                                                  uint64_t size) const {
  auto source = replication::parse_description(description);
  const OfOne *one = find(source);
  if (one == nullptr) return std::make_shared<extents::RangeSet>(size);
  replication::check_belongs(one->state, source, size, "delta-owed=" + one->path);
  return one->ranges;
}

}  // namespace delta

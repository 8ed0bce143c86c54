// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/owed.hpp"

#include <utility>

#include "common/convention/states.hpp"

namespace delta {

Owed::Owed(std::optional<convention::State> state, const std::string &path) {
  if (state) only_ = of_one(*std::move(state), path);
}

Owed Owed::load(const std::string &path) {
  if (!convention::names_directory(path)) return Owed(convention::load_state(path), path);
  Owed owed;
  for (auto &[disk, state] : convention::load_states(path)) {
    owed.disks_.emplace(disk, of_one(std::move(state), convention::state_path(path, disk)));
  }
  return owed;
}

Owed::OfOne Owed::of_one(convention::State state, const std::string &path) {
  auto ranges = std::make_shared<extents::RangeSet>(state.size);
  for (const auto &range : state.owed) ranges->add(range);
  state.owed = {};
  return {std::move(state), path, std::move(ranges)};
}

const Owed::OfOne *Owed::find(const std::optional<convention::Description> &source) const {
  if (only_) return &*only_;
  auto it = source ? disks_.find(source->disk) : disks_.end();
  return it == disks_.end() ? nullptr : &it->second;
}

std::shared_ptr<const extents::RangeSet> Owed::of(const std::string &description,
                                                  uint64_t size) const {
  auto source = convention::parse_description(description);
  const OfOne *one = find(source);
  if (one == nullptr) return std::make_shared<extents::RangeSet>(size);
  convention::check_belongs(one->state, source, size, "delta-owed=" + one->path);
  return one->ranges;
}

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/plan/known_extents.hpp"

namespace coalesce {

void KnownExtents::learn(uint64_t generation, const std::vector<extents::Extent> &list) {
  if (generation != generation_) return;
  if (map_.count() > max_extents) map_.set({0, size()}, unknown);
  for (const auto &e : list) map_.set(e.range(), e.type);
}

void KnownExtents::forget() {
  ++generation_;
  map_.set({0, size()}, unknown);
}

std::vector<extents::Extent> KnownExtents::known(extents::Range range, size_t count) const {
  std::vector<extents::Extent> list;
  map_.for_each(range, [&](const extents::Extent &e) {
    if (e.type == unknown) return false;
    list.push_back(e);
    return list.size() < count;
  });
  return list;
}

}  // namespace coalesce

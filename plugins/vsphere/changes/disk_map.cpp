// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/disk_map.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"

namespace vsphere {

using extents::Extent;
using extents::Range;
using extents::Type;

static_assert((extents::data | extents::hole | extents::zero) < 4);

DiskMap::DiskMap(uint64_t size) : size_(size) {
  if (size > uint64_t{1} << 62) util::fail(EPROTO, "no disk has {} bytes", size);
}

void DiskMap::extend(uint64_t end, Type type) {
  end = std::min(end, size_);
  if (end <= told_) return;
  if (starts_.empty() || type_of(starts_.back()) != type) {
    starts_.push_back(told_ << 2 | static_cast<uint64_t>(type));
  }
  told_ = end;
  if (told_ == size_) starts_.shrink_to_fit();
}

void DiskMap::for_each(Range range, const std::function<bool(const Extent &)> &f) const {
  if (range.empty() || range.offset >= told_) return;
  uint64_t end = range.offset + std::min(range.length, told_ - range.offset);
  // The last one that starts at the offset or before it.
  auto next = std::upper_bound(starts_.begin(), starts_.end(), range.offset << 2 | 3);
  for (auto here = std::prev(next); here != starts_.end() && start_of(*here) < end; here = next) {
    next = std::next(here);
    uint64_t start = std::max(start_of(*here), range.offset);
    uint64_t stop = std::min(next == starts_.end() ? told_ : start_of(*next), end);
    if (!f({start, stop - start, type_of(*here)})) return;
  }
}

std::vector<Extent> DiskMap::slice(Range range) const {
  std::vector<Extent> list;
  for_each(range, [&](const Extent &e) {
    list.push_back(e);
    return true;
  });
  return list;
}

}  // namespace vsphere

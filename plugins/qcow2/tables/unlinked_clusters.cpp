// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/unlinked_clusters.hpp"

namespace qcow2 {

void UnlinkedClusters::add(extents::Range range) {
  util::MutexLock lock(mutex_);
  if (!ranges_.empty() && ranges_.back().end() == range.offset) {
    ranges_.back().length += range.length;
  } else {
    ranges_.push_back(range);
    count_.store(ranges_.size());
  }
}

std::vector<extents::Range> UnlinkedClusters::take() {
  std::vector<extents::Range> taken;
  util::MutexLock lock(mutex_);
  taken.swap(ranges_);
  count_.store(0);
  return taken;
}

void UnlinkedClusters::put_back(const std::vector<extents::Range> &ranges) {
  util::MutexLock lock(mutex_);
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
  count_.store(ranges_.size());
}

}  // namespace qcow2

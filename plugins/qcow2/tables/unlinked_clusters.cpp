// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/unlinked_clusters.hpp"

namespace qcow2 {

void UnlinkedClusters::Ranges::add(extents::Range range) {
  if (!list_.empty() && list_.back().end() == range.offset) {
    list_.back().length += range.length;
  } else {
    list_.push_back(range);
    count_->fetch_add(1);
  }
}

void UnlinkedClusters::Ranges::add(const Ranges &other) {
  list_.insert(list_.end(), other.list_.begin(), other.list_.end());
  count_->fetch_add(other.list_.size());
}

UnlinkedClusters::Flush UnlinkedClusters::begin_flush() {
  Flush flush = ranges_.begin_flush();
  count_.fetch_sub(ranges_.covered(flush).list().size());
  return flush;
}

std::vector<extents::Range> UnlinkedClusters::end_flush(Flush flush, bool succeeded) {
  return ranges_.end_flush(flush, succeeded).list();
}

}  // namespace qcow2

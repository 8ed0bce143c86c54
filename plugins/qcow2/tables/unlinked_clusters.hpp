// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"

namespace qcow2 {

// The host clusters that no entry in memory refers to any more. Entries on disk may still do: the
// space of a cluster is given back to the file system only after the flush that has unlinked it,
// and the cluster is not allocated again before the image is closed. May be used from any thread.
class UnlinkedClusters {
 public:
  explicit UnlinkedClusters(bool compressed) : compressed_(compressed) {}

  // A range of the file in bytes.
  void add(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  // So many ranges that a flush should follow soon; or before anything is added.
  bool is_full() const { return count_.load() >= max_ranges; }
  bool is_overfull() const { return count_.load() > 2 * max_ranges; }

  // For a flush: what was added before the call, and what it could not unlink on disk.
  std::vector<extents::Range> take() ABSL_LOCKS_EXCLUDED(mutex_);
  void put_back(const std::vector<extents::Range> &ranges) ABSL_LOCKS_EXCLUDED(mutex_);

  // Compressed data shares its host clusters, so whether one is free is known only when the image
  // is closed: only that there may be free ones is noted.
  void add_compressed() { compressed_.store(true); }
  bool take_compressed() { return compressed_.exchange(false); }

 private:
  static constexpr size_t max_ranges = 100000;

  std::atomic<bool> compressed_;
  std::atomic<size_t> count_ = 0;  // ranges_.size()
  util::Mutex mutex_;
  std::vector<extents::Range> ranges_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/geometry.hpp"

namespace qcow2 {

// Allocates the clusters of the image file.
//
// Clusters are allocated in ascending order, always beyond everything allocated before and beyond
// the end of the file as it was opened. So a fresh cluster is a hole and reads as zeroes,
// allocations that follow each other are contiguous, and no cluster that a crash may bring back is
// overwritten. A refcount block is placed before the first cluster that it counts.
class ClusterAllocator {
 public:
  // end: the first cluster that was never used. blocks: the refcount table, that is, for each
  // refcount block its offset or 0. file must outlive this.
  ClusterAllocator(const Geometry &geometry, const ImageFile &file, uint64_t end,
                   std::vector<uint64_t> blocks);

  // From now on the file is extended, with space, ahead of the allocations: concurrent writes to a
  // disk disturb each other less if they do not extend the file. The excess is cut off when the
  // image is closed. Call it before other threads use this.
  void reserve_ahead() { ahead_ = true; }

  // Returns the offset of that many clusters in a row. May be called from any thread. Throws
  // util::Error: EFBIG if no refcount table can describe so long a file, or it could not be opened
  // again; ENOSPC if there is no space for a refcount block.
  uint64_t allocate(uint64_t clusters) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same, with space in the file system for the clusters.
  uint64_t allocate_reserved(uint64_t clusters) ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives the space of clusters back that no entry has pointed to. They are not allocated again.
  void abandon(uint64_t offset, uint64_t length) const noexcept { file_.punch(offset, length); }

  // For closing the image, when no other thread uses this.
  uint64_t end() const ABSL_LOCKS_EXCLUDED(mutex_);
  void set_end(uint64_t end) ABSL_LOCKS_EXCLUDED(mutex_);
  // Without the lock, which could not protect the reference that is returned.
  std::vector<uint64_t> &blocks() ABSL_NO_THREAD_SAFETY_ANALYSIS { return blocks_; }

 private:
  extents::Range plan_ahead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Geometry geometry_;
  const ImageFile &file_;
  bool ahead_ = false;
  mutable util::Mutex mutex_;  // not held for I/O
  // The file has space up to here, or will have soon. Bytes.
  uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t end_ ABSL_GUARDED_BY(mutex_);  // clusters
  std::vector<uint64_t> blocks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qcow2

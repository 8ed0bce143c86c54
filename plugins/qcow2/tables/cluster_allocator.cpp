// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/cluster_allocator.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

ClusterAllocator::ClusterAllocator(const Geometry &geometry, const ImageFile &file, uint64_t end,
                                   std::vector<uint64_t> blocks)
    : geometry_(geometry), file_(file), end_(end), blocks_(std::move(blocks)) {}

// The range to reserve now: an eighth of the file, within bounds, when half of the last such range
// is used.
extents::Range ClusterAllocator::plan_ahead() {
  constexpr uint64_t min_step = 1u << 20;
  constexpr uint64_t max_step = 64u << 20;
  uint64_t end = geometry_.start_of(end_);
  uint64_t step = std::clamp(end / 8, min_step, max_step);
  if (end + step / 2 <= reserved_) return {};
  uint64_t from = std::max(reserved_, end);
  reserved_ = Geometry::round_up(end + step, geometry_.cluster_size());
  return {from, reserved_ - from};
}

uint64_t ClusterAllocator::allocate_reserved(uint64_t clusters) {
  uint64_t offset = allocate(clusters);
  file_.reserve(offset, geometry_.start_of(clusters));
  return offset;
}

uint64_t ClusterAllocator::end() const {
  util::MutexLock lock(mutex_);
  return end_;
}

void ClusterAllocator::set_end(uint64_t end) {
  util::MutexLock lock(mutex_);
  end_ = end;
  reserved_ = 0;
}

uint64_t ClusterAllocator::allocate(uint64_t clusters) {
  const uint64_t per_block = geometry_.refcounts_per_block();
  std::vector<uint64_t> fresh;  // indexes of the refcount blocks placed before this run
  uint64_t run = 0;
  extents::Range ahead;
  {
    util::MutexLock lock(mutex_);
    if (end_ + clusters > max_file_clusters) {
      util::fail(EFBIG,
                 "{}: the image file would be too long, with more than {} clusters of {} bytes: "
                 "qemu-img convert makes a dense copy of it",
                 file_.path(), max_file_clusters, geometry_.cluster_size());
    }
    // A block that is placed here moves the run, maybe into the range of the next block.
    for (uint64_t k = end_ / per_block; k <= (end_ + clusters - 1) / per_block; ++k) {
      if (k >= max_refcount_table_bytes / 8) {
        util::fail(EFBIG, "{}: the image file would be too long for clusters of {} bytes",
                   file_.path(), geometry_.cluster_size());
      }
      if (k >= blocks_.size()) blocks_.resize(k + 1);
      if (blocks_[k] != 0) continue;
      blocks_[k] = geometry_.start_of(end_++);
      fresh.push_back(k);
    }
    run = geometry_.start_of(end_);
    end_ += clusters;
    if (ahead_) ahead = plan_ahead();
  }
  if (ahead.length != 0) file_.reserve_if_possible(ahead.offset, ahead.length);
  for (uint64_t k : fresh) {
    try {
      uint64_t offset = 0;
      {
        util::MutexLock lock(mutex_);
        offset = blocks_[k];
      }
      file_.reserve(offset, geometry_.cluster_size());
    } catch (const util::Error &) {
      util::MutexLock lock(mutex_);
      blocks_[k] = 0;
      throw;
    }
  }
  return run;
}

}  // namespace qcow2

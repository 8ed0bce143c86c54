// SPDX-License-Identifier: BSD-3-Clause
//
// Gives out the clusters of the image file.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/file/image_file.hpp"

namespace qcow2 {

// Clusters are given out in order, always beyond what has been given out before and beyond the end
// of the file as it was opened: a fresh cluster is a hole and reads as zeroes, what comes one after
// the other goes one beside the other, and nothing that a crash may bring back is overwritten. A
// refcount block goes before the first cluster it counts.
class Allocator {
 public:
  // `end`: the first cluster never used. `blocks`: the refcount table, the offset of each refcount
  // block or 0. file must outlive the allocator.
  Allocator(const Geometry &geometry, const ImageFile &file, uint64_t end,
            std::vector<uint64_t> blocks);

  // From now on the file is made longer ahead of what is given out, with space for it: writes to a
  // disk that do not make the file longer disturb each other less. What is too much is cut off when
  // the image is closed.
  void reserve_ahead() { ahead_ = true; }

  // The offset of `count` clusters in a row. May be called from any thread. Throws util::Error:
  // EFBIG if no refcount table can describe so long a file, ENOSPC if there is no room for their
  // counts.
  uint64_t allocate(uint64_t count);

  // For finalising, when no other thread allocates.
  uint64_t end() const { return end_; }
  void set_end(uint64_t end) {
    end_ = end;
    reserved_ = 0;
  }
  std::vector<uint64_t> &blocks() { return blocks_; }

 private:
  const Geometry geometry_;
  const ImageFile &file_;
  extents::Range plan_ahead();
  bool ahead_ = false;
  std::mutex mutex_;       // protects what follows
  uint64_t reserved_ = 0;  // in bytes: the file has space up to there, or will have soon
  uint64_t end_;
  std::vector<uint64_t> blocks_;
};

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
//
// Gives out the clusters of the image file.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "common/util/fd.hpp"
#include "plugins/qcow2/geometry.hpp"

namespace qcow2 {

// Clusters are given out in order, always beyond what has been given out before and beyond the end
// of the file as it was opened: a fresh cluster is a hole and reads as zeroes, what comes one after
// the other goes one beside the other, and nothing that a crash may bring back is overwritten. A
// refcount block goes before the first cluster it counts.
class Allocator {
 public:
  // `end`: the first cluster never used. `blocks`: the refcount table, the offset of each refcount
  // block or 0. fd and path must outlive the allocator.
  Allocator(const Geometry &geometry, const util::Fd &fd, const std::string &path, uint64_t end,
            std::vector<uint64_t> blocks);

  // The offset of `count` clusters in a row. May be called from any thread. Throws util::Error:
  // EFBIG if no refcount table can describe so long a file, ENOSPC if there is no room for their
  // counts.
  uint64_t allocate(uint64_t count);

  // For finalising, when no other thread allocates.
  uint64_t end() const { return end_; }
  void set_end(uint64_t end) { end_ = end; }
  std::vector<uint64_t> &blocks() { return blocks_; }

 private:
  const Geometry geometry_;
  const util::Fd &fd_;
  const std::string &path_;
  std::mutex mutex_;  // protects end_ and blocks_
  uint64_t end_;
  std::vector<uint64_t> blocks_;
};

// Makes sure that writing the range later will not fail for want of space, as far as the file
// system can promise that, and that the file is at least so long. What is there is kept. Throws
// util::Error.
void reserve_space(const util::Fd &fd, const std::string &path, uint64_t offset, uint64_t length);

}  // namespace qcow2

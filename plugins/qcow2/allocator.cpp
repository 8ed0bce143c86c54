// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/allocator.hpp"

#include <fcntl.h>

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/qcow2/format.hpp"

namespace qcow2 {

Allocator::Allocator(const Geometry &geometry, const util::Fd &fd, const std::string &path,
                     uint64_t end, std::vector<uint64_t> blocks)
    : geometry_(geometry), fd_(fd), path_(path), end_(end), blocks_(std::move(blocks)) {}

uint64_t Allocator::allocate(uint64_t count) {
  const uint64_t per_block = geometry_.refcounts_per_block();
  std::vector<uint64_t> fresh;  // indexes of the blocks put before this run
  uint64_t run = 0;
  {
    std::lock_guard lock(mutex_);
    // A block that is put here moves the run, perhaps into the range of the next block.
    for (uint64_t k = end_ / per_block; k <= (end_ + count - 1) / per_block; ++k) {
      if (k >= max_refcount_table_bytes / 8) {
        util::fail(EFBIG, "{}: the image file would be too long for clusters of {} bytes", path_,
                   geometry_.cluster_size());
      }
      if (k >= blocks_.size()) blocks_.resize(k + 1);
      if (blocks_[k] != 0) continue;
      blocks_[k] = geometry_.start_of(end_++);
      fresh.push_back(k);
    }
    run = geometry_.start_of(end_);
    end_ += count;
  }
  for (uint64_t k : fresh) {
    try {
      uint64_t offset = 0;
      {
        std::lock_guard lock(mutex_);
        offset = blocks_[k];
      }
      reserve_space(fd_, path_, offset, geometry_.cluster_size());
    } catch (const util::Error &) {
      std::lock_guard lock(mutex_);
      blocks_[k] = 0;
      throw;
    }
  }
  return run;
}

void reserve_space(const util::Fd &fd, const std::string &path, uint64_t offset, uint64_t length) {
  int r;
  do {
    r = ::fallocate(fd.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (r < 0 && errno == EINTR);
  if (r == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    util::fail_os(errno, "cannot reserve {} bytes at offset {} of {}", length, offset, path);
  }
  // The range is fresh wherever this is called: nothing is lost by writing zeroes.
  std::vector<std::byte> zeroes(length);
  util::write_at(fd, zeroes, offset, path);
}

}  // namespace qcow2

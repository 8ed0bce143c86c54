// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>

#include "common/util/mutex.hpp"
#include "filters/apply/digests/recording.hpp"
#include "filters/apply/disk/destination_bytes.hpp"
#include "filters/apply/disk/destination_disk.hpp"

namespace apply {

// Makes all blocks of a recording known, while no request is under way: those that the base has from there, all
// others by reading the destination. Used once. Memory: 1 MiB for each thread.
class UnknownBlocks {
 public:
  explicit UnknownBlocks(Recording &recording) : recording_(recording) {}

  // See DigestRecorder::complete(). Throws what the destination or a file throws.
  bool compute(DestinationDisk &destination, unsigned threads, const std::function<bool()> &stop);

  uint64_t from_base() const { return from_base_; }  // blocks
  uint64_t read() const { return read_; }

 private:
  void work(DestinationDisk &destination, const std::function<bool()> &stop) noexcept;
  // False if it was stopped; then none of these blocks has become known.
  bool compute(BlockRange blocks, DestinationBytes &destination, const std::function<bool()> &stop);

  Recording &recording_;
  std::atomic<uint64_t> next_ = 0;  // block that nobody has begun with
  std::atomic<bool> stopped_ = false;
  std::atomic<uint64_t> from_base_ = 0, read_ = 0;
  util::Mutex mutex_;
  std::exception_ptr failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace apply

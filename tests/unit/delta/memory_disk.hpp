// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "common/extents/extent_map.hpp"
#include "common/util/mutex.hpp"
#include "filters/delta/changes/source_disk.hpp"

namespace delta {

// A disk in memory, which counts what is read of it.
class MemoryDisk : public SourceDisk {
 public:
  explicit MemoryDisk(uint64_t size, std::byte fill = std::byte{1})
      : bytes(size, fill), map(size, extents::data) {}

  std::vector<extents::Extent> extents(extents::Range range) override {
    auto list = map.slice(range);
    if (list.size() > told) list.resize(told);
    return list;
  }
  void read(std::span<std::byte> buffer, uint64_t offset) override {
    if (before_read) before_read(offset);
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), buffer.size(), buffer.begin());
    util::MutexLock lock(mutex_);
    read_bytes_ += buffer.size();
  }
  uint64_t read_bytes() {
    util::MutexLock lock(mutex_);
    return read_bytes_;
  }

  std::vector<std::byte> bytes;
  extents::ExtentMap map;
  size_t told = SIZE_MAX;  // extents in one answer
  std::function<void(uint64_t offset)> before_read;

 private:
  util::Mutex mutex_;
  uint64_t read_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace delta

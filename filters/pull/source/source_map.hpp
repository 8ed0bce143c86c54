// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/extents/frozen_map.hpp"
#include "common/util/mutex.hpp"

namespace pull {

// Where the source has zeroes, as far as its map has been read. May be used from any thread.
class SourceMap {
 public:
  // changes_only: the source shows what has changed since a checkpoint. Its holes may mean "not changed" then, and
  // are taken for data; a zero that is no hole is a zero in any case (nbdkit-replicate-delta(7)).
  SourceMap(uint64_t size, bool changes_only) : size_(size), changes_only_(changes_only) {}

  // The next extent.
  void append(const extents::Extent &extent) {
    const bool is_zero =
        changes_only_ ? extent.type == extents::zero : (extent.type & extents::zero) != 0;
    util::MutexLock lock(mutex_);
    map_.append_until(std::min(extent.end(), size_), is_zero ? extent.type : extents::data);
  }
  // What has not been told by now is taken for data.
  void end() {
    util::MutexLock lock(mutex_);
    map_.append_until(size_, extents::data);
  }

  uint64_t known() const {  // bytes from the beginning on
    util::MutexLock lock(mutex_);
    return map_.size();
  }
  // The extent from the offset on, which is below the size; data where nothing is known yet.
  extents::Extent at(uint64_t offset) const {
    util::MutexLock lock(mutex_);
    if (offset >= map_.size()) return {offset, size_ - offset, extents::data};
    const extents::Extent extent = map_.at(offset);
    return {offset, extent.end() - offset, extent.type};
  }

 private:
  const uint64_t size_;
  const bool changes_only_;
  mutable util::Mutex mutex_;
  extents::FrozenMap map_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pull

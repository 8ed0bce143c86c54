// SPDX-License-Identifier: BSD-3-Clause
//
// Requests that overlap are carried out one after the other. Otherwise two layers could carry them
// out in different orders, and what they hold would differ for good.
#pragma once

#include <algorithm>
#include <list>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"

namespace extents {

// May be used from any thread.
class RangeLock {
 public:
  // Waits while another Hold has a byte of the range.
  class Hold {
   public:
    Hold(RangeLock &ranges, Range range) : ranges_(ranges) {
      util::MutexLock lock(ranges_.mutex_);
      while (ranges_.is_held(range)) ranges_.freed_.wait(lock);
      place_ = ranges_.held_.insert(ranges_.held_.end(), range);
    }
    ~Hold() {
      {
        util::MutexLock lock(ranges_.mutex_);
        ranges_.held_.erase(place_);
      }
      ranges_.freed_.notify_all();
    }
    Hold(const Hold &) = delete;
    Hold &operator=(const Hold &) = delete;

   private:
    RangeLock &ranges_;
    std::list<Range>::iterator place_;
  };

 private:
  bool is_held(Range range) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::any_of(held_.begin(), held_.end(),
                       [&](const auto &held) { return !intersect(held, range).empty(); });
  }

  util::Mutex mutex_;
  util::Condition freed_;
  std::list<Range> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace extents

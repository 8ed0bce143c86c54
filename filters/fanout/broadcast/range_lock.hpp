// SPDX-License-Identifier: BSD-3-Clause
//
// Requests that touch the same bytes go one after the other: two at once could be done in one order by
// the primary and in the other by a destination, and then the copies would differ for good.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>

#include "common/extents/extent.hpp"

namespace fanout {

class RangeLock {
 public:
  // Blocks while somebody else holds a byte of the range. Any thread.
  class Hold {
   public:
    Hold(RangeLock &lock, extents::Range range) : lock_(lock) {
      std::unique_lock guard(lock_.lock_);
      lock_.freed_.wait(guard, [&] {
        return std::none_of(lock_.held_.begin(), lock_.held_.end(), [&](const auto &held) {
          return !extents::intersect(held, range).empty();
        });
      });
      place_ = lock_.held_.insert(lock_.held_.end(), range);
    }
    ~Hold() {
      {
        std::lock_guard guard(lock_.lock_);
        lock_.held_.erase(place_);
      }
      lock_.freed_.notify_all();
    }
    Hold(const Hold &) = delete;
    Hold &operator=(const Hold &) = delete;

   private:
    RangeLock &lock_;
    std::list<extents::Range>::iterator place_;
  };

 private:
  std::mutex lock_;  // protects held_
  std::condition_variable freed_;
  std::list<extents::Range> held_;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"

namespace pull {

// Where clients read on, one after the other. May be used from any thread.
class ReadingStreams {
 public:
  // A read belongs to a stream if it begins at most `slack` bytes before or after its end: requests
  // that are sent together arrive in any order.
  explicit ReadingStreams(uint64_t slack) : slack_(slack) {}

  // Whether a stream has come further by it.
  bool note(extents::Range read) {
    util::MutexLock lock(mutex_);
    Stream *oldest = &streams_[0];
    ++clock_;
    for (Stream &s : streams_) {
      if (s.last < oldest->last) oldest = &s;
      if (s.reads == 0 || read.offset + slack_ < s.end || read.offset > s.end + slack_) continue;
      const bool is_further = read.end() > s.end || s.reads == 1;
      s.end = std::max(s.end, read.end());
      ++s.reads;
      s.last = clock_;
      return is_further;
    }
    *oldest = {read.end(), 1, clock_};
    return false;
  }

  // The ends of those that have had at least two reads, the last one first.
  std::vector<uint64_t> ends() const {
    util::MutexLock lock(mutex_);
    std::vector<const Stream *> list;
    for (const Stream &s : streams_) {
      if (s.reads >= 2) list.push_back(&s);
    }
    std::sort(list.begin(), list.end(), [](auto *a, auto *b) { return a->last > b->last; });
    std::vector<uint64_t> ends;
    for (const Stream *s : list) ends.push_back(s->end);
    return ends;
  }

 private:
  struct Stream {
    uint64_t end = 0;  // of the reads so far
    uint64_t reads = 0;
    uint64_t last = 0;  // clock_ at the last of them
  };
  const uint64_t slack_;
  mutable util::Mutex mutex_;
  std::array<Stream, 8> streams_ ABSL_GUARDED_BY(mutex_);
  uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace pull

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/extents/extent.hpp"

namespace pull {

// Where clients read on, one after the other. Not synchronised.
class ReadingStreams {
 public:
  // A read belongs to a stream if it begins at most `slack` bytes before or after its end: requests
  // that are sent together arrive in any order.
  explicit ReadingStreams(uint64_t slack) : slack_(slack) {}

  void note(extents::Range read) {
    Stream *oldest = &streams_[0];
    ++clock_;
    for (Stream &s : streams_) {
      if (s.last < oldest->last) oldest = &s;
      if (s.reads == 0 || read.offset + slack_ < s.end || read.offset > s.end + slack_) continue;
      s.end = std::max(s.end, read.end());
      ++s.reads;
      s.last = clock_;
      return;
    }
    *oldest = {read.end(), 1, clock_};
  }

  // The ends of those that have had at least two reads, the last one first.
  std::vector<uint64_t> ends() const {
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
  std::array<Stream, 8> streams_;
  uint64_t clock_ = 0;
};

}  // namespace pull

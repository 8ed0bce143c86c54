// SPDX-License-Identifier: BSD-3-Clause
//
// Finds out which of the clients' reads follow each other.
#pragma once

#include <cstdint>
#include <functional>
#include <list>

#include "common/extents/extent.hpp"
#include "filters/coalesce/stream/stream.hpp"

namespace coalesce {

// The streams of one export. Not synchronised.
class StreamTable {
 public:
  // Returns how many bytes of data lie between two offsets, or more than slack() if that is not known.
  using DataBetween = std::function<uint64_t(uint64_t from, uint64_t to)>;

  // slack: how far the requests of one stream may arrive out of order, in bytes.
  explicit StreamTable(uint64_t slack) : slack_(slack) {}

  // Records a read and returns its stream, or nullptr if there are too many to follow. A read of what
  // was read ahead for another stream (`prefetched`) is sequential at once. A stream continues across
  // a gap that holds no data. The pointer is valid until the next observe() or erase().
  Stream *observe(extents::Range read, bool prefetched, const DataBetween &data_between);

  // Adds a stream that belongs to no client: any client may read what is fetched for it. It never
  // becomes stale, and has no reads.
  void pin(extents::Range range);

  // Calls f(stream) for each pinned stream, in the order in which they were pinned, until f returns
  // true.
  void serve_pinned(const std::function<bool(Stream &)> &f);
  // Calls f(stream) for each sequential stream that is not stale, the most urgent one first, until f
  // returns true: that with the least data cached ahead of it, among equals that for which f returned
  // true the longest time ago.
  void serve(const std::function<bool(Stream &)> &f);

  Stream *find(uint64_t id);
  void erase(uint64_t id);
  // Forgets all streams but the pinned ones.
  void clear() { streams_.clear(); }

  uint64_t now() const { return now_; }  // reads observed
  uint64_t slack() const { return slack_; }

  // Other streams were read many times since its last read.
  bool stale(const Stream &stream) const {
    return !stream.pinned && now_ - stream.last_read > stale_after;
  }
  uint64_t active() const;  // sequential streams that are not stale, without the pinned ones

 private:
  static constexpr size_t max_streams = 64;
  static constexpr uint64_t stale_after = 256;  // reads

  Stream *match(extents::Range read, const DataBetween &data_between);
  Stream *add(extents::Range read);

  std::list<Stream> streams_;  // the one served last at the end
  std::list<Stream> pinned_;
  const uint64_t slack_;
  uint64_t now_ = 0;
  uint64_t next_id_ = 1;
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
//
// Which of the clients' reads follow each other.
#pragma once

#include <cstdint>
#include <functional>
#include <list>

#include "common/extents/extent.hpp"
#include "filters/coalesce/plan/window.hpp"

namespace coalesce {

// One sequence of reads, of one client or of one of its threads. All in bytes.
struct Stream {
  uint64_t id = 0;
  uint64_t head = 0;     // the end of the furthest read
  uint64_t read = 0;     // how much was read
  uint64_t fetched = 0;  // where reading ahead goes on
  uint64_t ahead = 0;    // how much is held or being fetched for it
  uint64_t step = 1;     // the client reads whole multiples of this, also of what is not wanted
  uint64_t last = 0;     // the number of its last read, see Streams::now()
  uint64_t end = ~uint64_t{0};  // reading ahead stops here
  unsigned reads = 0;
  Depth::Rate rate;        // of `read`
  bool surveying = false;  // somebody is asking for the extents at `fetched`
  bool again = false;      // it reads what has been read before
  bool pinned = false;     // see Streams::pin()

  // One read follows another: worth reading ahead for.
  bool sequential() const { return pinned || reads >= 2; }
};

// Not synchronised.
class Streams {
 public:
  // How many wanted bytes are between two places; anything above `slack` if that is not known.
  using Between = std::function<uint64_t(uint64_t from, uint64_t to)>;

  // Requests of one stream may arrive out of order by this much.
  explicit Streams(uint64_t slack) : slack_(slack) {}

  // Takes note of a read and returns its stream, or nullptr if there are too many to follow. A read
  // of what was read ahead for another stream (`expected`) is sequential at once. What the client
  // skips because it is not wanted does not break a stream. The pointer is valid until the next
  // observe() or erase().
  Stream *observe(extents::Range read, bool expected, const Between &between);

  // A stream that no client reads: what is fetched for it is there for whoever comes. It is served
  // before all others, those pinned earlier first.
  void pin(extents::Range range);
  // Calls f(stream) for each pinned stream, in order, until f returns true.
  void serve_pinned(const std::function<bool(Stream &)> &f);

  Stream *find(uint64_t id);
  void erase(uint64_t id);

  uint64_t now() const { return now_; }  // reads observed
  uint64_t slack() const { return slack_; }

  // Not read any more, as far as can be told.
  bool stale(const Stream &stream) const { return !stream.pinned && now_ - stream.last > patience; }
  uint64_t active() const;  // sequential streams that are not stale

  // Calls f(stream) for each sequential one that is not stale, in the order of need, until f returns
  // true: the one for which the least is fetched ahead first, and of equal ones the one served
  // longest ago.
  void serve(const std::function<bool(Stream &)> &f);

 private:
  static constexpr size_t most = 64;
  static constexpr uint64_t patience = 256;

  Stream *match(extents::Range read, const Between &between);
  Stream *add(extents::Range read);

  std::list<Stream> streams_;  // in the order of service
  std::list<Stream> pinned_;
  const uint64_t slack_;
  uint64_t now_ = 0;
  uint64_t next_id_ = 1;
};

}  // namespace coalesce

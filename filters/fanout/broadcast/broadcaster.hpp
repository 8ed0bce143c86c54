// SPDX-License-Identifier: BSD-3-Clause
//
// Sends each request that changes the primary to every destination that can take it, at the same
// time as to the primary. The request is over when all of these have answered. The other
// destinations owe it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/extents/range_lock.hpp"
#include "filters/fanout/destination/destination.hpp"

namespace fanout {

// May be used from any thread. The requests block until no destination uses their buffer any more.
// They throw what `primary` throws, and util::Error if a destination has failed, now or before, or if
// what one does not have (or may have lost: a flush) cannot be recorded in its state file.
class Broadcaster {
 public:
  using Primary =
      std::function<void()>;  // carries the request out on the primary, on the same thread

  // The list must outlive it.
  explicit Broadcaster(const DestinationList &destinations);

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua, const Primary &primary);
  // `flags`: nbd::no_hole.
  void zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua, const Primary &primary);
  void flush(const Primary &primary);

  // Of the servers that have been connected so far.
  bool can_flush() const;                                    // any of them
  bool can_zero() const;                                     // all of them
  uint32_t minimum_block() const { return minimum_block_; }  // the largest
  // Reads the minimum block sizes of the destinations again. Not while there are requests.
  void update_minimum_block();

 private:
  void change(const Change &change, const Primary &primary);
  void check() const;
  void check_alignment(Range range) const;

  const DestinationList &destinations_;
  extents::RangeLock ranges_;
  uint32_t minimum_block_ = 1;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// All destinations as one: every request that changes the primary goes to each that can take it, at
// the same time as to the primary, and is over when all of those have answered. The others owe it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "filters/fanout/destination/destination.hpp"
#include "filters/fanout/broadcast/range_lock.hpp"

namespace fanout {

using DestinationList = std::vector<std::unique_ptr<Destination>>;

// May be used from any thread. Every method blocks until no destination has the request any more,
// and throws util::Error if one has failed, now or before; what `primary` throws it throws.
class Fan {
 public:
  using Primary = std::function<void()>;

  // The list must outlive it.
  explicit Fan(const DestinationList &destinations);

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua, const Primary &primary);
  void zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua, const Primary &primary);
  void flush(const Primary &primary);

  // As far as the servers have been heard of.
  bool can_flush() const;                                    // one of them
  bool can_zero() const;                                     // all of them
  uint32_t minimum_block() const { return minimum_block_; }  // what suits all of them
  // Asks the destinations again what they take. Not while there are requests.
  void find_minimum_block();

 private:
  using Send = std::function<void(Link &, Gather &, Outcome &)>;
  void change(Range range, std::span<const std::byte> data, bool fua, const Send &send,
              const Primary &primary);
  void check() const;
  void check_alignment(Range range) const;

  const DestinationList &destinations_;
  RangeLock busy_;
  uint32_t minimum_block_ = 1;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// All destinations as one: every request that changes the primary goes to each of them, at the same
// time as to the primary, and is over when all have answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "filters/fanout/destination.hpp"

namespace fanout {

// May be used from any thread. Every method blocks until no destination has the request any more,
// and throws util::Error if one has failed, now or before; what `primary` throws it throws.
class Fan {
 public:
  using Primary = std::function<void()>;

  // Throws EINVAL, naming both sizes, if a destination is smaller than the primary.
  Fan(std::vector<std::unique_ptr<Destination>> destinations, uint64_t primary_size);

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua, const Primary &primary);
  void zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua, const Primary &primary);
  void flush(const Primary &primary);

  bool can_flush() const;                                    // one of them
  bool can_zero() const;                                     // all of them
  uint32_t minimum_block() const { return minimum_block_; }  // what suits all of them

  const std::vector<std::unique_ptr<Destination>> &destinations() const { return destinations_; }

 private:
  void everywhere(const std::function<void(Destination &, Gather &)> &submit,
                  const Primary &primary);
  void flush_instead_of_fua();
  void check() const;
  void check_alignment(uint64_t count, uint64_t offset) const;

  std::vector<std::unique_ptr<Destination>> destinations_;
  uint32_t minimum_block_ = 1;
};

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// What clients have just written, kept for a destination that has time for it: sent from here it need
// not be read from the primary.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "filters/fanout/owed/ledger.hpp"

namespace fanout {

// Not synchronised: the destination's lock protects it. A buffer that was taken is recycled, by way of
// add() and next() or without them.
class Offers {
 public:
  using Buffer = std::vector<std::byte>;
  struct Offer {
    Ledger::Id id;  // of the copy that it is
    Buffer data;
  };

  // Of a request that is worth it, and for which there is room. Smaller ones make larger requests when
  // they are copied together.
  bool wants(size_t bytes) const { return bytes >= least && held_ + bytes <= most; }
  Buffer take(size_t bytes) {
    Buffer buffer;
    if (!spare_.empty()) {
      buffer = std::move(spare_.back());
      spare_.pop_back();
    }
    buffer.resize(bytes);
    held_ += bytes;
    return buffer;
  }
  void recycle(Buffer buffer) {
    held_ -= buffer.size();
    spare_.push_back(std::move(buffer));
  }

  void add(Offer offer) { waiting_.push_back(std::move(offer)); }
  std::optional<Offer> next() {
    if (waiting_.empty()) return std::nullopt;
    Offer offer = std::move(waiting_.front());
    waiting_.pop_front();
    return offer;
  }
  bool empty() const { return waiting_.empty(); }

  // Nothing is kept while there is nothing to do.
  void free_spare() { spare_ = {}; }

 private:
  static constexpr size_t least = 128u << 10;  // bytes
  static constexpr size_t most = 4u << 20;     // bytes, of all that are taken

  std::deque<Offer> waiting_;
  std::vector<Buffer> spare_;
  size_t held_ = 0;
};

}  // namespace fanout

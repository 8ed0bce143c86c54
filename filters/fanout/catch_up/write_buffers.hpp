// SPDX-License-Identifier: BSD-3-Clause
//
// Data that clients have just written, kept in memory for an async destination: sent from here it
// need not be read from the primary.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "filters/fanout/owed/ledger.hpp"

namespace fanout {

// Not synchronised: the destination's lock protects it. Each buffer that was taken is recycled in
// the end.
class WriteBuffers {
 public:
  using Buffer = std::vector<std::byte>;
  struct Write {
    Ledger::Id id;  // of its copy
    Buffer data;
  };

  // Whether a request of this size is kept. Small requests are not: copied together they make
  // larger requests.
  bool accepts(size_t bytes) const { return bytes >= least && held_ + bytes <= most; }
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

  // The queue of writes to be sent.
  void add(Write write) { waiting_.push_back(std::move(write)); }
  std::optional<Write> next() {
    if (waiting_.empty()) return std::nullopt;
    Write write = std::move(waiting_.front());
    waiting_.pop_front();
    return write;
  }
  bool empty() const { return waiting_.empty(); }

  // Frees the memory of recycled buffers.
  void free_spare() { spare_ = {}; }

 private:
  static constexpr size_t least = 128u << 10;  // bytes
  static constexpr size_t most = 4u << 20;     // bytes, of all buffers that are taken

  std::deque<Write> waiting_;
  std::vector<Buffer> spare_;
  size_t held_ = 0;  // bytes
};

}  // namespace fanout

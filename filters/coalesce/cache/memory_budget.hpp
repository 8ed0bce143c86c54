// SPDX-License-Identifier: BSD-3-Clause
//
// The limit of the memory for read-ahead (coalesce-memory), and that memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/util/mutex.hpp"

namespace coalesce {

// Memory that buffers give back is kept for later ones, since fresh pages have to be zeroed by the
// kernel. It counts toward the limit, and goes back to the system when a buffer of another size needs
// the room, and when the last export is closed (drop_spares). Any thread may call any method.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : limit_(bytes) {}
  ~MemoryBudget() { drop_spares(); }
  MemoryBudget(const MemoryBudget &) = delete;
  MemoryBudget &operator=(const MemoryBudget &) = delete;

  uint64_t limit() const { return limit_; }  // bytes
  uint64_t used() const;                     // by buffers; bytes
  uint64_t spare() const;                    // kept for later ones; bytes

  // Returns all memory that no buffer uses to the system.
  void drop_spares() noexcept;

 private:
  friend class Buffer;
  using Memory = std::span<std::byte>;

  // At least so many bytes; empty if that would exceed the limit.
  Memory take(size_t bytes);
  void give_back(Memory memory) noexcept;

  const uint64_t limit_;
  mutable util::Mutex mutex_;
  uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;   // used_ + spare_ <= limit_
  uint64_t spare_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes in spares_
  // The one unused for the longest time first. Its capacity covers the memory in use too, so that
  // give_back() need not allocate.
  std::vector<Memory> spares_ ABSL_GUARDED_BY(mutex_);
  size_t in_use_ ABSL_GUARDED_BY(mutex_) = 0;  // buffers
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
//
// The memory for what is read ahead, and the limit on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace coalesce {

// How much memory all buffers may take together. What they no longer need is kept for the next ones,
// for memory fresh from the system has to be zeroed first, page by page; it counts too. May be used
// by any thread.
class Budget {
 public:
  explicit Budget(uint64_t bytes) : limit_(bytes) {}
  ~Budget() { drop_spares(); }
  Budget(const Budget &) = delete;
  Budget &operator=(const Budget &) = delete;

  uint64_t limit() const { return limit_; }
  uint64_t used() const;   // by buffers; bytes
  uint64_t spare() const;  // kept for the next ones; bytes

  // Gives back to the system what no buffer needs.
  void drop_spares() noexcept;

 private:
  friend class Buffer;
  using Memory = std::span<std::byte>;

  // At least so many bytes; empty if that would be too much.
  Memory take(size_t bytes);
  void give_back(Memory memory) noexcept;

  const uint64_t limit_;
  mutable std::mutex mutex_;    // protects what follows
  uint64_t used_ = 0;           // used_ + spare_ <= limit_
  uint64_t spare_ = 0;          // bytes in spares_
  std::vector<Memory> spares_;  // has room for all that is in use, too; the longest unused first
  size_t in_use_ = 0;
};

// Its memory is given back to the budget with it; the budget must outlive it.
class Buffer {
 public:
  Buffer() = default;
  // Empty if there is no memory to be had.
  static Buffer allocate(Budget &budget, size_t bytes);
  Buffer(Buffer &&other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)),
        memory_(std::exchange(other.memory_, {})),
        bytes_(std::exchange(other.bytes_, {})) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer();

  std::span<std::byte> bytes() const { return bytes_; }
  explicit operator bool() const { return budget_ != nullptr; }

 private:
  Budget *budget_ = nullptr;
  std::span<std::byte> memory_;  // what the budget gave
  std::span<std::byte> bytes_;   // the first of it, as many as were asked for
};

}  // namespace coalesce

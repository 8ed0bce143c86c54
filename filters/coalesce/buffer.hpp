// SPDX-License-Identifier: BSD-3-Clause
//
// The memory for what is read ahead, and the limit on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace coalesce {

// How much memory all buffers may take together. May be used by any thread.
class Budget {
 public:
  explicit Budget(uint64_t bytes) : limit_(bytes) {}
  uint64_t limit() const { return limit_; }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }

  // False if that would be too much.
  bool take(uint64_t bytes);
  void give_back(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// Memory straight from the system and back to it, so that the server's size follows the budget. Its
// part of the budget is given back with it; the budget must outlive it.
class Buffer {
 public:
  Buffer() = default;
  // Empty if there is no memory to be had.
  static Buffer allocate(Budget &budget, size_t bytes);
  Buffer(Buffer &&other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer();

  std::span<std::byte> bytes() const { return bytes_; }
  explicit operator bool() const { return budget_ != nullptr; }

 private:
  Budget *budget_ = nullptr;
  std::span<std::byte> bytes_;
};

}  // namespace coalesce

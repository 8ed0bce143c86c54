// SPDX-License-Identifier: BSD-3-Clause
//
// The memory of one chunk.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "filters/coalesce/cache/memory_budget.hpp"

namespace coalesce {

// Owns memory of a budget and gives it back when destroyed. The budget must outlive it.
class Buffer {
 public:
  Buffer() = default;
  // Empty if there is no memory left.
  static Buffer allocate(MemoryBudget &budget, size_t bytes);
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
  MemoryBudget *budget_ = nullptr;
  std::span<std::byte> memory_;  // as the budget gave it
  std::span<std::byte> bytes_;   // the part of it that was asked for, from its start
};

}  // namespace coalesce

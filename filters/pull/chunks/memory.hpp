// SPDX-License-Identifier: BSD-3-Clause
//
// pull-memory: the buffers of all fetches together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/util/mutex.hpp"

namespace pull {

// May be used from any thread.
class Memory {
  using Bytes = std::vector<std::byte>;

 public:
  explicit Memory(uint64_t limit) : limit_(limit) {}

  // A buffer, as long as the object. Waits until there is room: who holds one waits for no other. One that
  // alone exceeds the limit is given when no other is held.
  class Buffer {
   public:
    Buffer(Memory &memory, size_t length)
        : memory_(memory), length_(length), bytes_(memory.take(length)) {}
    ~Buffer() { memory_.keep(std::move(bytes_)); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    std::span<std::byte> bytes() { return std::span(bytes_).first(length_); }

   private:
    Memory &memory_;
    const size_t length_;
    Bytes bytes_;  // perhaps longer
  };

  // Frees the buffers that nobody uses.
  void drop_spares() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (!spare_.empty()) remove_spare(spare_.begin());
  }

  // Bytes of all buffers, also of those that nobody uses.
  uint64_t allocated() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    return used_ + kept_;
  }

 private:
  // At least so many bytes.
  Bytes take(size_t length) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (!has_room(length)) freed_.wait(lock);
    const auto spare = std::find_if(spare_.begin(), spare_.end(), [&](const Bytes &b) {
      return b.size() >= length && b.size() / 2 <= length && has_room(b.size());
    });
    if (spare != spare_.end()) {
      Bytes bytes = remove_spare(spare);
      used_ += bytes.size();
      return bytes;
    }
    while (!spare_.empty() && used_ + kept_ + length > limit_) remove_spare(spare_.begin());
    used_ += length;
    lock.unlock();
    return allocate(length);
  }
  Bytes allocate(size_t length) ABSL_LOCKS_EXCLUDED(mutex_) {
    try {
      return Bytes(length);
    } catch (...) {
      util::MutexLock lock(mutex_);
      used_ -= length;
      freed_.notify_all();
      throw;
    }
  }
  void keep(Bytes bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    used_ -= bytes.size();
    kept_ += bytes.size();
    spare_.push_back(std::move(bytes));
    freed_.notify_all();
  }

  bool has_room(uint64_t length) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return used_ == 0 || used_ + length <= limit_;
  }
  Bytes remove_spare(std::vector<Bytes>::iterator spare) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Bytes bytes = std::move(*spare);
    spare_.erase(spare);
    kept_ -= bytes.size();
    return bytes;
  }

  const uint64_t limit_;
  util::Mutex mutex_;
  util::Condition freed_;
  uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes of the buffers that somebody has,
  uint64_t kept_ ABSL_GUARDED_BY(mutex_) = 0;  // and of the others
  std::vector<Bytes> spare_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pull

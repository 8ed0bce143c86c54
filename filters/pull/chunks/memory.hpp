// SPDX-License-Identifier: BSD-3-Clause
//
// pull-memory: the buffers of all fetches together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/util/mutex.hpp"

namespace pull {

// May be used from any thread.
class Memory {
 public:
  explicit Memory(uint64_t limit) : limit_(limit) {}

  // A buffer, as long as the object. Waits until there is room: who holds one waits for no other. One that
  // alone exceeds the limit is given when no other is held.
  class Buffer {
   public:
    Buffer(Memory &memory, size_t bytes) : memory_(memory) {
      util::MutexLock lock(memory_.mutex_);
      while (memory_.used_ > 0 && memory_.used_ + bytes > memory_.limit_) {
        memory_.freed_.wait(lock);
      }
      memory_.used_ += bytes;
      counted_ = bytes;
      if (!memory_.spare_.empty()) {
        bytes_.swap(memory_.spare_.back());
        memory_.spare_.pop_back();
      }
      lock.unlock();
      if (bytes_.size() < bytes) bytes_.resize(bytes);
    }
    ~Buffer() {
      util::MutexLock lock(memory_.mutex_);
      memory_.used_ -= counted_;
      // Spare ones are those that other fetches would need: they are bounded by what was used at once.
      memory_.spare_.push_back(std::move(bytes_));
      memory_.freed_.notify_all();
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    std::span<std::byte> bytes() { return std::span(bytes_).first(counted_); }

   private:
    Memory &memory_;
    size_t counted_ = 0;
    std::vector<std::byte> bytes_;
  };

  // Frees the buffers that nobody uses.
  void drop_spares() {
    util::MutexLock lock(mutex_);
    spare_ = {};
  }

 private:
  const uint64_t limit_;
  util::Mutex mutex_;
  util::Condition freed_;
  uint64_t used_ ABSL_GUARDED_BY(mutex_) = 0;  // bytes
  std::vector<std::vector<std::byte>> spare_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pull

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/mutex.hpp"

namespace qcow2 {

// Buffers of one size that are used again: malloc returns memory of this size to the system each
// time, and then every page of it faults again. Any number can be taken, and up to 8 MiB of them
// are kept. May be used from any thread. Must outlive its buffers.
class Buffers {
 public:
  static constexpr size_t alignment = 4096;

  explicit Buffers(size_t size) : size_((size + alignment - 1) / alignment * alignment) {}

  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer &&other) noexcept = default;
    Buffer &operator=(Buffer &&other) noexcept {
      std::swap(from_, other.from_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Buffer() {
      if (bytes_) from_->give_back(std::move(bytes_));
    }
    std::byte *data() const { return bytes_.get(); }

   private:
    friend class Buffers;
    struct Free {
      void operator()(std::byte *p) const { std::free(p); }
    };
    using Bytes = std::unique_ptr<std::byte, Free>;
    Buffer(Buffers &from, Bytes bytes) : from_(&from), bytes_(std::move(bytes)) {}

    Buffers *from_ = nullptr;
    Bytes bytes_;
  };

  // The content is undefined. Throws util::Error ENOMEM.
  Buffer take() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      util::MutexLock lock(mutex_);
      if (!idle_.empty()) {
        Buffer buffer(*this, std::move(idle_.back()));
        idle_.pop_back();
        return buffer;
      }
    }
    auto *bytes = static_cast<std::byte *>(std::aligned_alloc(alignment, size_));
    if (bytes == nullptr) util::fail(ENOMEM, "no memory for a buffer of {} bytes", size_);
    return Buffer(*this, Buffer::Bytes(bytes));
  }

 private:
  static constexpr size_t kept_bytes = 8u << 20;

  void give_back(Buffer::Bytes bytes) noexcept ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    if (idle_.size() * size_ >= kept_bytes) return;
    try {
      idle_.push_back(std::move(bytes));
    } catch (...) {  // no memory to keep it: it is freed
    }
  }

  const size_t size_;
  util::Mutex mutex_;
  std::vector<Buffer::Bytes> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qcow2

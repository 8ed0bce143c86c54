// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "common/util/mutex.hpp"

namespace qcow2 {

// Compressors or decompressors, which are expensive to make and used by one thread at a time. There
// are never more than `max`; a thread that finds all of them in use waits. A thread that has one
// must not do I/O: each is meant to keep a processor busy, and then waiting for one costs nothing.
template <typename T>
class CodecPool {
 public:
  CodecPool(size_t max, std::function<std::unique_ptr<T>()> make)
      : make_(std::move(make)), left_to_make_(max) {}

  class Lease {
   public:
    Lease(CodecPool &pool, std::unique_ptr<T> codec) : pool_(pool), codec_(std::move(codec)) {}
    ~Lease() { pool_.give_back(std::move(codec_)); }
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    T *operator->() const { return codec_.get(); }

   private:
    CodecPool &pool_;
    std::unique_ptr<T> codec_;
  };

  // Throws what make() throws.
  Lease take() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (auto codec = take_idle()) return Lease(*this, std::move(codec));
    try {
      return Lease(*this, make_());
    } catch (...) {
      util::MutexLock lock(mutex_);
      ++left_to_make_;
      free_.notify_one();
      throw;
    }
  }

 private:
  // Null: the caller may make one.
  std::unique_ptr<T> take_idle() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (idle_.empty() && left_to_make_ == 0) free_.wait(lock);
    if (idle_.empty()) {
      --left_to_make_;
      return nullptr;
    }
    auto codec = std::move(idle_.back());
    idle_.pop_back();
    return codec;
  }

  void give_back(std::unique_ptr<T> codec) ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    idle_.push_back(std::move(codec));
    free_.notify_one();
  }

  const std::function<std::unique_ptr<T>()> make_;
  util::Mutex mutex_;
  util::Condition free_;
  std::vector<std::unique_ptr<T>> idle_ ABSL_GUARDED_BY(mutex_);
  size_t left_to_make_ ABSL_GUARDED_BY(mutex_);
};

// Two for each processor: a thread that has one may be waiting for a processor.
inline size_t codec_pool_size() {
  unsigned processors = std::thread::hardware_concurrency();
  return 2 * (processors == 0 ? 4 : processors);
}

}  // namespace qcow2

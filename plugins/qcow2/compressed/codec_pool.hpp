// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace qcow2 {

// Things that are dear to make and that one thread uses at a time (compressors). Never more than
// `most`: whoever comes then waits, which costs nothing if they are more than there are processors,
// and keep a processor busy while they are used. No I/O with one in the hand.
template <typename T>
class Pool {
 public:
  Pool(size_t most, std::function<std::unique_ptr<T>()> make)
      : make_(std::move(make)), left_to_make_(most) {}

  class Lease {
   public:
    Lease(Pool &pool, std::unique_ptr<T> thing) : pool_(pool), thing_(std::move(thing)) {}
    ~Lease() { pool_.give_back(std::move(thing_)); }
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    T *operator->() const { return thing_.get(); }

   private:
    Pool &pool_;
    std::unique_ptr<T> thing_;
  };

  Lease take() {
    {
      std::unique_lock lock(mutex_);
      free_.wait(lock, [&] { return !idle_.empty() || left_to_make_ > 0; });
      if (!idle_.empty()) {
        auto thing = std::move(idle_.back());
        idle_.pop_back();
        return Lease(*this, std::move(thing));
      }
      --left_to_make_;
    }
    try {
      return Lease(*this, make_());
    } catch (...) {
      std::lock_guard lock(mutex_);
      ++left_to_make_;
      free_.notify_one();
      throw;
    }
  }

 private:
  void give_back(std::unique_ptr<T> thing) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(thing));
    free_.notify_one();
  }

  const std::function<std::unique_ptr<T>()> make_;
  std::mutex mutex_;  // protects what follows
  std::condition_variable free_;
  std::vector<std::unique_ptr<T>> idle_;
  size_t left_to_make_;
};

// Two for each processor: whoever has one may be waiting for the processor.
inline size_t pool_size() {
  unsigned processors = std::thread::hardware_concurrency();
  return 2 * (processors == 0 ? 4 : processors);
}

}  // namespace qcow2

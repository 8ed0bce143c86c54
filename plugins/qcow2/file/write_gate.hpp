// SPDX-License-Identifier: BSD-3-Clause
//
// Writing to a file one after the other, without sleeping.
#pragma once

#include <atomic>
#include <thread>

namespace qcow2 {

// Linux lets in one thread at a time that writes to a file through the page cache. The others spin
// there, which takes the processor from the client and from the threads that receive, or sleep, and
// being woken takes longer than a write. A thread that waits for its turn here lets others run
// instead. It is a courtesy, not a lock: after a while each goes ahead without a turn, and nothing
// may depend on being alone. May be used from any thread.
class Turns {
 public:
  class Turn {
   public:
    explicit Turn(Turns &turns) noexcept : turns_(turns), has_it_(turns.wait()) {}
    ~Turn() {
      if (has_it_) turns_.taken_.store(false, std::memory_order_relaxed);
    }
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;
    bool has_it() const { return has_it_; }

   private:
    Turns &turns_;
    const bool has_it_;
  };

 private:
  // Some ten writes of 64 KiB to memory, if there is nobody else to run.
  static constexpr int most_yields = 300;

  bool wait() noexcept {
    for (int i = 0; i < most_yields; ++i) {
      if (!taken_.load(std::memory_order_relaxed) &&
          !taken_.exchange(true, std::memory_order_relaxed)) {
        return true;
      }
      std::this_thread::yield();
    }
    return false;
  }

  std::atomic<bool> taken_{false};
};

}  // namespace qcow2

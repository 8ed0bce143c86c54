// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <thread>

namespace qcow2 {

// Admits one thread at a time to writing to a file through the page cache. Linux does the same with
// a lock of the inode, but there the waiting threads spin, which takes the processor from the
// client and from the threads that receive, or sleep, and waking one takes longer than a write. A
// thread that waits here yields the processor.
//
// This is not a lock: a thread that has waited for a while goes ahead unadmitted, and nothing may
// rely on being alone. May be used from any thread.
class WriteGate {
 public:
  class Pass {
   public:
    explicit Pass(WriteGate &gate) noexcept : gate_(gate), admitted_(gate.wait()) {}
    ~Pass() {
      if (admitted_) gate_.taken_.store(false, std::memory_order_relaxed);
    }
    Pass(const Pass &) = delete;
    Pass &operator=(const Pass &) = delete;
    bool is_admitted() const { return admitted_; }

   private:
    WriteGate &gate_;
    const bool admitted_;
  };

 private:
  // With no other thread to run, about the time of ten writes of 64 KiB to memory.
  static constexpr int max_yields = 300;

  bool wait() noexcept {
    for (int i = 0; i < max_yields; ++i) {
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

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>

namespace qcow2 {

// Counts who uses something, and closes it when the last one has gone; who comes while it is being
// closed waits. For any thread.
class Connections {
 public:
  // `close` must not throw; no other connection is there while it runs.
  explicit Connections(std::function<void()> close) : close_(std::move(close)) {}

  void attach() {
    std::unique_lock lock(mutex_);
    closed_.wait(lock, [&] { return !closing_; });
    ++count_;
  }

  void detach() noexcept {
    {
      std::lock_guard lock(mutex_);
      if (--count_ > 0) return;
      closing_ = true;
    }
    close_();
    std::lock_guard lock(mutex_);
    closing_ = false;
    closed_.notify_all();
  }

 private:
  const std::function<void()> close_;
  std::mutex mutex_;  // protects what follows; not held while close_ runs
  std::condition_variable closed_;
  unsigned count_ = 0;
  bool closing_ = false;
};

}  // namespace qcow2

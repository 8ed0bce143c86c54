// SPDX-License-Identifier: BSD-3-Clause
//
// Whether nbdkit has been told to end, for threads that wait. nbdkit ends only after each client's request has, and
// calls cleanup() after that. A part of the door.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "common/nbdkit/sleep.hpp"
#include "common/util/mutex.hpp"

namespace vsphere {

// From after_fork() to cleanup(). It has a thread of its own, because nbdkit tells a client's thread also that the
// client has gone; that thread asks only if somebody waits, because nbdkit logs its answer as an error.
class ShutdownWatch {
 public:
  ShutdownWatch() : thread_([this] { run(); }) {}
  ~ShutdownWatch() {
    {
      util::MutexLock lock(mutex_);
      stop_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  ShutdownWatch(const ShutdownWatch &) = delete;
  ShutdownWatch &operator=(const ShutdownWatch &) = delete;

  // To be asked again and again while a thread waits: the answer may be late by a slice. From any thread.
  bool told() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (told_) return true;
    util::MutexLock lock(mutex_);
    if (!asked_) {
      asked_ = true;
      changed_.notify_all();
    }
    return false;
  }

 private:
  void run() {
    constexpr std::chrono::milliseconds slice{100};
    while (wait_until_asked()) {
      if (!nbdkit::sleep(slice)) {
        told_ = true;
        return;
      }
    }
  }
  bool wait_until_asked() ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    while (!asked_ && !stop_) changed_.wait(lock);
    asked_ = false;
    return !stop_;
  }

  util::Mutex mutex_;
  util::Condition changed_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> told_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace vsphere

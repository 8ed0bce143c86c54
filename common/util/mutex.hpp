// SPDX-License-Identifier: BSD-3-Clause
//
// std::mutex with the attributes of clang's thread-safety analysis: a clang build (-Wthread-safety)
// proves that what a mutex guards is touched only while it is held. Members are declared with
// ABSL_GUARDED_BY(mutex_), functions that need the lock with ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_), and
// those that take it themselves with ABSL_LOCKS_EXCLUDED(mutex_).
#pragma once

#include <absl/base/thread_annotations.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace util {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex &) = delete;
  Mutex &operator=(const Mutex &) = delete;

  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds a mutex until the end of its scope. It can be released before that, and taken again.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex &mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() ABSL_UNLOCK_FUNCTION() {}
  MutexLock(const MutexLock &) = delete;
  MutexLock &operator=(const MutexLock &) = delete;

  void unlock() ABSL_UNLOCK_FUNCTION() { lock_.unlock(); }
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { lock_.lock(); }
  bool owns_lock() const { return lock_.owns_lock(); }

 private:
  friend class Condition;
  std::unique_lock<std::mutex> lock_;
};

// A condition variable for a Mutex. A wait may end without a notification, so it stands in a loop that
// tests what is waited for (a predicate in a lambda would not be seen to hold the lock):
//
//   MutexLock lock(mutex_);
//   while (pending_ > 0) idle_.wait(lock);
class Condition {
 public:
  void wait(MutexLock &lock) { condition_.wait(lock.lock_); }

  // False if the time has come.
  template <typename Clock, typename Duration>
  bool wait_until(MutexLock &lock, const std::chrono::time_point<Clock, Duration> &time) {
    return condition_.wait_until(lock.lock_, time) == std::cv_status::no_timeout;
  }

  void notify_one() noexcept { condition_.notify_one(); }
  void notify_all() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace util

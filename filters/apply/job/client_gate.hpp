// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>

#include "common/util/mutex.hpp"

namespace apply {

// Counts the clients, and keeps new ones out while the job is completed after the last one. May be
// used from any thread.
class ClientGate {
 public:
  // Waits while the gate is closed. The thread that has closed it learns of that by waiting().
  void enter() ABSL_LOCKS_EXCLUDED(mutex_);
  // Once for each enter().
  void leave() ABSL_LOCKS_EXCLUDED(mutex_);
  // The same; but if this was the last client, closes the gate and returns true. Then reopen() must
  // follow.
  bool leave_and_close() ABSL_LOCKS_EXCLUDED(mutex_);
  void reopen() ABSL_LOCKS_EXCLUDED(mutex_);

  bool waiting() const { return waiting_ > 0; }
  size_t clients() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::atomic<size_t> waiting_ = 0;
  mutable util::Mutex mutex_;  // held for no I/O; no other lock is taken while it is held
  util::Condition reopened_;
  size_t clients_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace apply

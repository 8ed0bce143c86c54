// SPDX-License-Identifier: BSD-3-Clause
//
// The removal of the snapshot before SIGABRT ends the process.
//
// nbdkit 1.32 fails an assertion of its own if a client disconnects while several threads answer it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "common/util/fd.hpp"

namespace vsphere {

// At most one exists at a time, in a process that does not fork any more.
class AbortCleanup {
 public:
  // From now on SIGABRT, raised by abort() or sent by another process, first has `cleanup` called, on a
  // thread of this object. It ends the process when `cleanup` has returned, or at the deadline. The other
  // threads continue meanwhile, except those that abort. `cleanup` must not throw.
  AbortCleanup(std::function<void()> cleanup, std::chrono::milliseconds deadline);
  // Restores the former action of SIGABRT.
  ~AbortCleanup();
  AbortCleanup(const AbortCleanup &) = delete;
  AbortCleanup &operator=(const AbortCleanup &) = delete;

 private:
  void wait_for_abort(const std::function<void()> &cleanup);

  // eventfd(2): a signal handler must not use a condition variable.
  util::Fd aborting_, done_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace vsphere

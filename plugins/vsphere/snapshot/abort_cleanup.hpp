// SPDX-License-Identifier: BSD-3-Clause
//
// What has to be done before an abort ends the process.
//
// nbdkit 1.32 fails an assertion of its own when a client goes while several threads are answering it.
// That is no reason to leave a snapshot behind.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "common/util/fd.hpp"

namespace vsphere {

// At most one exists at a time, in a process that does not fork any more.
class AbortWatch {
 public:
  // From now on SIGABRT, from abort() or from outside, ends the process only when `act` has returned,
  // which is called on a thread of this object's, or after the deadline. It must not throw, and any
  // thread may be anywhere meanwhile: in the middle of a read, say.
  AbortWatch(std::function<void()> act, std::chrono::milliseconds deadline);
  // SIGABRT is what it was.
  ~AbortWatch();
  AbortWatch(const AbortWatch &) = delete;
  AbortWatch &operator=(const AbortWatch &) = delete;

 private:
  void watch(const std::function<void()> &act);

  util::Fd called_, done_;  // eventfd(2), for a signal handler can use no condition variable
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace vsphere

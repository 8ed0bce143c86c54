// SPDX-License-Identifier: BSD-3-Clause
//
// The removal of the snapshot when the server ends, however it ends, and in the right process.
//
// nbdkit calls get_ready in a process that may fork: then the child becomes the server and the parent
// exits, which runs its exit handlers. If another module's get_ready fails, nbdkit exits without
// unloading this one, which also runs them. The cleanup must run in the server and in the second case,
// but not in the parent of a server.
#pragma once

#include <functional>
#include <mutex>

namespace vsphere {

// At most one exists at a time. It does not run in a process that ends by a signal or by _exit.
class ExitCleanup {
 public:
  // `cleanup` is called at most once, by run() or at exit, in the process that owns this object. It must
  // not throw.
  explicit ExitCleanup(std::function<void()> cleanup);
  ~ExitCleanup();  // does not run it
  ExitCleanup(const ExitCleanup &) = delete;
  ExitCleanup &operator=(const ExitCleanup &) = delete;

  // Before this call a forked child becomes the owner in place of its parent. After it this process stays
  // the owner. Called once there are no more forks into the background.
  void keep_in_this_process();

  // From any thread. On return the cleanup has run, on this thread or another one. Does nothing in a
  // process that is not the owner.
  void run();

 private:
  std::function<void()> cleanup_;
  std::once_flag once_;
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// SIGTERM and the like while the server gets ready. nbdkit installs its signal handlers later: until
// then such a signal would end the process at once and leave the snapshot behind.
#pragma once

#include <chrono>
#include <csignal>

namespace vsphere {

// While it exists, SIGTERM, SIGINT and SIGHUP are only recorded, except those that are ignored. At most
// one exists at a time, in a process with one thread.
class StartupSignals {
 public:
  StartupSignals();
  ~StartupSignals();  // restores the former actions, except those that have been replaced meanwhile
  StartupSignals(const StartupSignals &) = delete;
  StartupSignals &operator=(const StartupSignals &) = delete;

  // Throws util::Error EINTR if such a signal has come.
  void check() const;

  // Waits. Throws as check() does as soon as a signal comes.
  void sleep(std::chrono::milliseconds time) const;

  // Whether such a signal has come.
  bool received() const;

  // nbdkit has installed its own handlers: raises a signal that came before, for them.
  void hand_over() const;

  // From now on check() and sleep() do not throw: the start has failed and the snapshot is being
  // removed.
  void disregard() { disregarded_ = true; }

 private:
  static constexpr int signals_[] = {SIGTERM, SIGINT, SIGHUP};
  struct sigaction former_[3];
  bool disregarded_ = false;
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// What must be done before the server ends, however it ends, and in that process alone.
//
// nbdkit calls get_ready in a process that forks: its child becomes the server, it itself exits.
// And when another module's get_ready fails, nbdkit exits without unloading us. Both exits run exit
// handlers; only in the second, and in the server, is the snapshot ours to remove.
#pragma once

#include <functional>
#include <mutex>

namespace vsphere {

// At most one exists at a time. A process ended by a signal or by _exit leaves nothing behind: what
// is left of it is found by the next run.
class LastWill {
 public:
  // Made where the work begins. `act` is called at most once, from execute() or at exit, in the
  // process that this object belongs to; it must not throw.
  explicit LastWill(std::function<void()> act);
  ~LastWill();  // does not execute
  LastWill(const LastWill &) = delete;
  LastWill &operator=(const LastWill &) = delete;

  // Until now a forked child took it over from its parent; from now on this process keeps it.
  void settle();

  // From any thread. When it returns it has been executed, by whomever.
  void execute();

 private:
  std::function<void()> act_;
  std::once_flag executed_;
};

}  // namespace vsphere

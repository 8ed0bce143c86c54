// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace vsphere {

namespace {

// Handlers of fork and exit have no argument, so this state is global. It changes only while the process
// has one thread: until keep_in_this_process(), and after the server's threads have ended.
ExitCleanup *current = nullptr;
pid_t owner = -1;  // the process that runs the cleanup; -1: none
bool owner_is_final = false;

void after_fork_in_parent() {
  if (current != nullptr && !owner_is_final) owner = -1;
}

void after_fork_in_child() {
  if (current != nullptr && !owner_is_final) owner = getpid();
}

void at_exit() {
  if (current != nullptr) current->run();
}

// Exit handlers run in reverse order: this one must be installed after the TLS library's, which the
// cleanup needs. The C library removes both handlers when this module is unloaded.
void install_handlers() {
  static const bool done = [] {
    pthread_atfork(nullptr, after_fork_in_parent, after_fork_in_child);
    std::atexit(at_exit);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

ExitCleanup::ExitCleanup(std::function<void()> cleanup) : cleanup_(std::move(cleanup)) {
  current = this;
  owner = getpid();
  owner_is_final = false;
  install_handlers();
}

ExitCleanup::~ExitCleanup() {
  if (current == this) current = nullptr;
}

void ExitCleanup::keep_in_this_process() {
  owner_is_final = true;
  owner = getpid();
}

void ExitCleanup::run() {
  if (owner != getpid()) return;
  std::call_once(once_, cleanup_);
}

}  // namespace vsphere

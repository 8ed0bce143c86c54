// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace vsphere {

namespace {

// Handlers of fork and exit take no argument, hence the only globals of this plugin. They are
// touched before there are threads (settle() ends that) and after they have gone.
LastWill *current = nullptr;
pid_t owner = -1;  // the process that has to execute it; -1: none
bool settled = false;

void after_fork_in_parent() {
  if (current != nullptr && !settled) owner = -1;
}

void after_fork_in_child() {
  if (current != nullptr && !settled) owner = getpid();
}

void at_exit() {
  if (current != nullptr) current->execute();
}

// Once. The exit handler comes after the TLS library's own, so that it runs before it. Both are
// withdrawn by the C library when this module is unloaded.
void install_handlers() {
  static const bool done = [] {
    pthread_atfork(nullptr, after_fork_in_parent, after_fork_in_child);
    std::atexit(at_exit);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

LastWill::LastWill(std::function<void()> act) : act_(std::move(act)) {
  current = this;
  owner = getpid();
  settled = false;
  install_handlers();
}

LastWill::~LastWill() {
  if (current == this) current = nullptr;
}

void LastWill::settle() {
  settled = true;
  owner = getpid();
}

void LastWill::execute() {
  if (owner != getpid()) return;
  std::call_once(executed_, act_);
}

}  // namespace vsphere

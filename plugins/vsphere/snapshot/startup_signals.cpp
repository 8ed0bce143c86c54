// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/startup_signals.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

volatile sig_atomic_t received_signal = 0;  // for the signal handler, which has no other argument

extern "C" void record_signal(int number) {
  received_signal = number;
}

}  // namespace

StartupSignals::StartupSignals() {
  received_signal = 0;
  struct sigaction record {};
  record.sa_handler = record_signal;
  record.sa_flags = SA_RESTART;
  for (int i = 0; int number : signals_) {
    sigaction(number, nullptr, &former_[i]);
    if (former_[i].sa_handler != SIG_IGN) sigaction(number, &record, nullptr);
    ++i;
  }
}

StartupSignals::~StartupSignals() {
  for (int i = 0; int number : signals_) {
    struct sigaction now {};
    sigaction(number, nullptr, &now);
    if (now.sa_handler == record_signal) sigaction(number, &former_[i], nullptr);
    ++i;
  }
}

bool StartupSignals::received() const {
  return received_signal != 0;
}

// A signal during this function goes to nbdkit's handler, or was received before.
void StartupSignals::hand_over() const {
  if (received()) ::raise(received_signal);
}

void StartupSignals::check() const {
  if (!received() || disregarded_) return;
  util::fail(EINTR, "told to end by {} before it was ready", strsignal(received_signal));
}

// In slices: a signal just before a sleep, or in another thread, does not interrupt it.
void StartupSignals::sleep(std::chrono::milliseconds time) const {
  using clock = std::chrono::steady_clock;
  constexpr clock::duration slice = std::chrono::milliseconds(50);
  const auto end = clock::now() + time;
  check();
  for (auto now = clock::now(); now < end; now = clock::now()) {
    std::this_thread::sleep_for(std::min(end - now, slice));
    check();
  }
}

}  // namespace vsphere

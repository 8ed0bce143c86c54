// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/startup_signals.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

volatile sig_atomic_t seen = 0;  // a handler can reach nothing else

extern "C" void note_signal(int number) {
  seen = number;
}

}  // namespace

StartSignals::StartSignals() {
  seen = 0;
  struct sigaction note {};
  note.sa_handler = note_signal;
  note.sa_flags = SA_RESTART;
  for (int i = 0; int number : signals_) {
    sigaction(number, nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(number, &note, nullptr);
    ++i;
  }
}

StartSignals::~StartSignals() {
  for (int i = 0; int number : signals_) sigaction(number, &before_[i++], nullptr);
}

void StartSignals::check() const {
  if (seen == 0 || disregarded_) return;
  util::fail(EINTR, "told to end by {} before it was ready", strsignal(seen));
}

// In slices: the handler may have run in another thread, or just before the sleep.
void StartSignals::sleep(std::chrono::milliseconds time) const {
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

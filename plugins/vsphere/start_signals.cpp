// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/start_signals.hpp"

#include <cerrno>
#include <cstring>

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
  if (seen == 0) return;
  util::fail(EINTR, "told to end by {} before it was ready", strsignal(seen));
}

}  // namespace vsphere

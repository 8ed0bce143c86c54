// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <csignal>

namespace vsphere {

// While it exists this thread blocks all signals, and a thread that it starts blocks them for ever. For
// threads that a handler of SIGABRT waits for (abort_cleanup.hpp): the handler must not run on them.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &former_, nullptr); }
  BlockedSignals(const BlockedSignals &) = delete;
  BlockedSignals &operator=(const BlockedSignals &) = delete;

 private:
  sigset_t former_;
};

}  // namespace vsphere

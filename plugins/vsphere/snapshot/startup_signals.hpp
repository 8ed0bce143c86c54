// SPDX-License-Identifier: BSD-3-Clause
//
// A signal to end that comes while the server gets ready. nbdkit heeds signals only once it serves; until
// then they would end the process at once, and leave the snapshot behind.
#pragma once

#include <chrono>
#include <csignal>

namespace vsphere {

// While it lives SIGTERM, SIGINT and SIGHUP are only noted, unless they are ignored anyway. At most one
// at a time, and while there is one thread.
class StartSignals {
 public:
  StartSignals();
  ~StartSignals();  // back to what was before
  StartSignals(const StartSignals &) = delete;
  StartSignals &operator=(const StartSignals &) = delete;

  // Throws util::Error EINTR if one has come.
  void check() const;

  // Sits a pause out; throws as check() does as soon as one comes.
  void sleep(std::chrono::milliseconds time) const;

  // From now on neither throws: the start has failed, and what it has made is being removed.
  void disregard() { disregarded_ = true; }

 private:
  static constexpr int signals_[] = {SIGTERM, SIGINT, SIGHUP};
  struct sigaction before_[3];
  bool disregarded_ = false;
};

}  // namespace vsphere

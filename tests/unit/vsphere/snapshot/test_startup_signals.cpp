// SPDX-License-Identifier: BSD-3-Clause
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>

#include "common/util/error.hpp"
#include "plugins/vsphere/snapshot/startup_signals.hpp"
#include "tests/unit/vsphere/snapshot/child.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace vsphere;
using testing::in_child;

TEST_CASE("SIGTERM is recorded while the object exists, and ends the process again after that") {
  auto ended_by = [](const std::function<void()> &f) {
    pid_t pid = fork();
    if (pid == 0) {
      std::signal(SIGTERM, SIG_DFL);  // and not as Catch2 has it
      f();
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
  };
  CHECK(ended_by([] {
          StartupSignals signals;
          signals.check();
          raise(SIGTERM);
          try {
            signals.check();
          } catch (const util::Error &e) {
            _exit(e.errnum() == EINTR ? 42 : 1);
          }
        }) == -42);
  CHECK(ended_by([] {
          { StartupSignals signals; }
          raise(SIGTERM);
        }) == SIGTERM);
  CHECK(ended_by([] {
          std::signal(SIGHUP, SIG_IGN);
          StartupSignals signals;
          raise(SIGHUP);
          signals.check();
        }) == 0);
}

namespace {

volatile sig_atomic_t handed_over = 0;

extern "C" void on_handed_over(int number) {
  handed_over = number;
}

}  // namespace

TEST_CASE("a signal between the end of the start and nbdkit's handlers is not lost") {
  int outcome = in_child([] {
    {
      StartupSignals signals;
      signals.check();
      raise(SIGTERM);  // after the last check
      std::signal(SIGTERM, on_handed_over);
      if (handed_over != 0) return 1;
      signals.hand_over();
      if (handed_over != SIGTERM) return 2;
    }
    // The handler that was installed meanwhile stays.
    handed_over = 0;
    raise(SIGTERM);
    if (handed_over != SIGTERM) return 3;
    handed_over = 0;
    StartupSignals again;
    again.hand_over();
    return handed_over == 0 ? 0 : 4;
  });
  CHECK(outcome == 0);
}

TEST_CASE("SIGTERM ends a pause at once, but no pause after disregard") {
  using clock = std::chrono::steady_clock;
  using namespace std::chrono_literals;
  int outcome = in_child([] {
    StartupSignals signals;
    auto begin = clock::now();
    signals.sleep(120ms);  // longer than a slice of it
    if (clock::now() - begin < 120ms) return 1;

    const pid_t sleeper = getpid();
    if (fork() == 0) {
      testing::all_wait({&sleeper, 1});
      _exit(kill(sleeper, SIGTERM));
    }
    begin = clock::now();
    try {
      signals.sleep(10min);
      return 2;
    } catch (const util::Error &e) {
      if (e.errnum() != EINTR || clock::now() - begin > 1min) return 3;
    }
    try {
      signals.sleep(0ms);
      return 4;
    } catch (const util::Error &) {
    }

    signals.disregard();
    begin = clock::now();
    signals.sleep(120ms);
    signals.check();
    return clock::now() - begin < 120ms ? 5 : 0;
  });
  CHECK(outcome == 0);
}

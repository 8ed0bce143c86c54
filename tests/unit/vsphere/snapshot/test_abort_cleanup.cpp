// SPDX-License-Identifier: BSD-3-Clause
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>

#include "plugins/vsphere/snapshot/abort_cleanup.hpp"
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace vsphere;
using namespace std::chrono_literals;

namespace {

// What a child has written before SIGABRT ended it.
std::string aborted(const std::function<void(const std::function<void(const char *)> &say)> &f) {
  int pipe_fds[2];
  REQUIRE(pipe(pipe_fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    std::signal(SIGABRT, SIG_DFL);  // and not as Catch2 has it
    rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    f([&](const char *text) { [[maybe_unused]] ssize_t n = write(pipe_fds[1], text, 1); });
    _exit(0);
  }
  close(pipe_fds[1]);
  std::string said;
  for (char c; read(pipe_fds[0], &c, 1) == 1;) said += c;
  close(pipe_fds[0]);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  return said;
}

}  // namespace

TEST_CASE("the cleanup runs before SIGABRT ends the process") {
  CHECK(aborted([](auto &say) {
          AbortCleanup abort_cleanup(
              [&] {
                testing::others_wait();
                say("x");
              },
              60s);
          std::abort();
        }) == "x");
  // Also if another process, or another thread, sends the signal.
  CHECK(aborted([](auto &say) {
          AbortCleanup abort_cleanup([&] { say("x"); }, 60s);
          std::thread([] { kill(getpid(), SIGABRT); }).join();
          for (;;) pause();
        }) == "x");
}

TEST_CASE("several threads that abort wait for one cleanup") {
  CHECK(aborted([](auto &say) {
          AbortCleanup abort_cleanup(
              [&] {
                testing::others_wait();
                say("x");
              },
              60s);
          std::jthread other([] { std::abort(); });
          std::abort();
        }) == "x");
}

TEST_CASE("an abort does not wait beyond the deadline, nor after the object is destroyed") {
  std::mutex never;
  CHECK(aborted([&](auto &say) {
          never.lock();
          AbortCleanup abort_cleanup(
              [&] {
                std::lock_guard wait(never);
                say("x");
              },
              100ms);
          std::abort();
        }) == "");
  CHECK(aborted([](auto &say) {
          {
            AbortCleanup abort_cleanup([&] { say("x"); }, 60s);
          }
          std::abort();
        }) == "");
}

TEST_CASE("an abort waits for an exit cleanup that is running") {
  CHECK(aborted([](auto &say) {
          std::binary_semaphore running{0};
          ExitCleanup cleanup([&] {
            say("a");
            running.release();
            testing::others_wait();
            say("b");
          });
          AbortCleanup abort_cleanup([&] { cleanup.run(); }, 60s);
          std::jthread other([&] {
            running.acquire();
            std::abort();
          });
          cleanup.run();
          for (;;) pause();
        }) == "ab");
}

// A signal that another process sends runs its handler on any thread of the process that does not block it:
// on that of the cleanup it would wait for itself, until the deadline.
TEST_CASE("SIGABRT when only the cleanup's thread could take it: the cleanup runs") {
  CHECK(aborted([](auto &say) {
          AbortCleanup abort_cleanup([&] { say("x"); }, 60s);
          sigset_t abort;
          sigemptyset(&abort);
          sigaddset(&abort, SIGABRT);
          pthread_sigmask(SIG_BLOCK, &abort, nullptr);
          kill(getpid(), SIGABRT);
          testing::others_wait();  // that thread would have taken it
          pthread_sigmask(SIG_UNBLOCK, &abort, nullptr);
          for (;;) pause();
        }) == "x");
}

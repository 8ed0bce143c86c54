// SPDX-License-Identifier: BSD-3-Clause
//
// Who removes the snapshot, and who may make one.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/http/secret.hpp"
#include "plugins/vsphere/snapshot/abort_cleanup.hpp"
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/snapshot/startup_signals.hpp"

using namespace vsphere;

namespace {

// Runs f in a child and returns its exit status.
int in_child(const std::function<int()> &f) {
  pid_t pid = fork();
  if (pid == 0) _exit(f());
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a signal to end is noted while the server gets ready, and heeded again after that") {
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
          StartSignals signals;
          signals.check();
          raise(SIGTERM);
          try {
            signals.check();
          } catch (const util::Error &e) {
            _exit(e.errnum() == EINTR ? 42 : 1);
          }
        }) == -42);
  CHECK(ended_by([] {
          { StartSignals signals; }
          raise(SIGTERM);
        }) == SIGTERM);
  CHECK(ended_by([] {
          std::signal(SIGHUP, SIG_IGN);
          StartSignals signals;
          raise(SIGHUP);
          signals.check();
        }) == 0);
}

TEST_CASE("a signal to end ends a pause at once, but not those of the removal after it") {
  using clock = std::chrono::steady_clock;
  using namespace std::chrono_literals;
  int outcome = in_child([] {
    StartSignals signals;
    auto begin = clock::now();
    signals.sleep(120ms);  // longer than a slice of it
    if (clock::now() - begin < 120ms) return 1;

    const pid_t sleeper = getpid();
    if (fork() == 0) {
      std::this_thread::sleep_for(100ms);
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

TEST_CASE("the will is executed once") {
  int count = 0;
  LastWill will([&] { ++count; });
  will.execute();
  will.execute();
  CHECK(count == 1);
}

TEST_CASE("until it is settled the child inherits, and the parent gives up") {
  int count = 0;
  LastWill will([&] { ++count; });
  CHECK(in_child([&] {
          will.settle();
          will.execute();
          return count;
        }) == 1);
  will.execute();
  CHECK(count == 0);
}

TEST_CASE("once it is settled a child is not the server") {
  int count = 0;
  LastWill will([&] { ++count; });
  will.settle();
  CHECK(in_child([&] {
          will.execute();
          return count;
        }) == 0);
  will.execute();
  CHECK(count == 1);
}

TEST_CASE("a process that exits executes it, unless a child has taken it over") {
  int pipe_fds[2];
  REQUIRE(pipe(pipe_fds) == 0);
  auto wrote = [&](bool fork_first) {
    pid_t pid = fork();
    if (pid == 0) {
      LastWill will([&] { [[maybe_unused]] ssize_t n = write(pipe_fds[1], "x", 1); });
      if (fork_first && fork() == 0) _exit(0);
      exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(write(pipe_fds[1], ".", 1) == 1);
    std::string got;
    for (char c = 0; c != '.';) {
      REQUIRE(read(pipe_fds[0], &c, 1) == 1);
      got += c;
    }
    return got;
  };
  CHECK(wrote(false) == "x.");
  CHECK(wrote(true) == ".");
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST_CASE("one run at a time reads a machine; its end is enough to let the next one in") {
  std::string server = "test-" + std::to_string(getpid());
  std::optional<RunLock> lock(std::in_place, server, "vm-1");
  auto refused = [&] {
    try {
      RunLock second(server, "vm-1");
      return 0;
    } catch (const util::Error &e) {
      return e.errnum();
    }
  };
  CHECK(in_child(refused) == EBUSY);
  CHECK_NOTHROW(RunLock(server, "vm-2"));
  CHECK_NOTHROW(RunLock(server + "-other", "vm-1"));
  lock.reset();
  CHECK(in_child(refused) == 0);
  CHECK(in_child([&] {
          new RunLock(server, "vm-1");  // as if killed
          return 0;
        }) == 0);
  CHECK(in_child(refused) == 0);
}

TEST_CASE("attempts are repeated with doubled pauses, if that is of use") {
  std::vector<int64_t> pauses;
  RetryPolicy policy;
  policy.retries = 3;
  policy.delay = std::chrono::milliseconds(10);
  policy.sleep = [&](std::chrono::milliseconds time) { pauses.push_back(time.count()); };
  int calls = 0, counted = 0;
  policy.count = [&] { ++counted; };
  auto attempt = [&](bool retryable, int good) {
    return with_retries(policy, {}, "x", [&] {
      if (++calls < good) throw TransportError(EIO, "broke", retryable, true);
      return calls;
    });
  };
  CHECK(attempt(true, 4) == 4);
  CHECK(pauses == std::vector<int64_t>{10, 20, 40});
  CHECK(counted == 3);
  calls = 0;
  CHECK_THROWS_AS(attempt(true, 5), TransportError);
  CHECK(calls == 4);
  calls = 0;
  CHECK_THROWS_AS(attempt(false, 2), TransportError);
  CHECK(calls == 1);
}

TEST_CASE("a pause that is interrupted is the end of the attempts") {
  RetryPolicy policy;
  policy.sleep = [](std::chrono::milliseconds) { util::fail(EINTR, "told to end"); };
  int calls = 0;
  auto attempt = [&] {
    with_retries(policy, {}, "x", [&] {
      ++calls;
      throw TransportError(EIO, "broke", true, true);
    });
  };
  CHECK_THROWS_WITH(attempt(), "told to end");
  CHECK(calls == 1);
}

TEST_CASE("a secret leaves nothing behind when it moves on") {
  for (const std::string text : {"short", "a password that is too long for the string itself"}) {
    std::string given = text;
    Secret a(std::move(given));
    CHECK(given.empty());
    Secret b(std::move(a));
    CHECK(a.empty());
    CHECK(b.get() == text);
    a = std::move(b);
    CHECK(a.get() == text);
  }
}

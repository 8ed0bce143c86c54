// SPDX-License-Identifier: BSD-3-Clause
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "plugins/vsphere/snapshot/exit_cleanup.hpp"
#include "tests/unit/vsphere/snapshot/child.hpp"

using namespace vsphere;
using testing::in_child;

TEST_CASE("the cleanup runs once") {
  int count = 0;
  ExitCleanup cleanup([&] { ++count; });
  cleanup.run();
  cleanup.run();
  CHECK(count == 1);
}

TEST_CASE("a forked child becomes the owner in place of its parent") {
  int count = 0;
  ExitCleanup cleanup([&] { ++count; });
  CHECK(in_child([&] {
          cleanup.keep_in_this_process();
          cleanup.run();
          return count;
        }) == 1);
  cleanup.run();
  CHECK(count == 0);
}

TEST_CASE("after keep_in_this_process a forked child does not become the owner") {
  int count = 0;
  ExitCleanup cleanup([&] { ++count; });
  cleanup.keep_in_this_process();
  CHECK(in_child([&] {
          cleanup.run();
          return count;
        }) == 0);
  cleanup.run();
  CHECK(count == 1);
}

TEST_CASE("the owner runs the cleanup at exit, a former owner does not") {
  int pipe_fds[2];
  REQUIRE(pipe(pipe_fds) == 0);
  auto wrote = [&](bool fork_first) {
    pid_t pid = fork();
    if (pid == 0) {
      ExitCleanup cleanup([&] { [[maybe_unused]] ssize_t n = write(pipe_fds[1], "x", 1); });
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

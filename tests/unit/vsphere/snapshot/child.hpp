// SPDX-License-Identifier: BSD-3-Clause
//
// Tests of what happens in a forked process.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

namespace testing {

// Runs f in a child and returns its exit status.
inline int in_child(const std::function<int()> &f) {
  pid_t pid = fork();
  if (pid == 0) _exit(f());
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace testing

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "common/util/fd.hpp"

namespace vsphere::vddk {

// How long a helper process may take to end after it has closed its socket, and after an interruption.
inline constexpr std::chrono::milliseconds usual_reap_time{5'000}, short_reap_time{1'000};

// A child process. It is started by posix_spawn(3), as a process with threads cannot safely fork.
class Process {
 public:
  // Runs the program with `socket` as file descriptor helper_socket, stdout and stderr on this
  // process's stderr, and no other open files. It gets a session of its own, so that signals from a
  // terminal do not reach it, and `library_path` as the first directory of LD_LIBRARY_PATH. Throws
  // util::Error.
  Process(const std::string &program, const std::string &library_path, const util::Fd &socket);
  // Kills the process if it still runs.
  ~Process();
  Process(const Process &) = delete;
  Process &operator=(const Process &) = delete;

  // Sends SIGKILL. Does nothing if the process has ended. May be called from any thread.
  void kill() const noexcept;
  // Reaps the process; kills it if it does not end in time. Returns how it ended, as the end of a
  // sentence: "was killed by signal 11 (Segmentation fault)". One thread at a time.
  std::string wait(std::chrono::milliseconds time) noexcept;

 private:
  pid_t pid_ = -1;
  util::Fd pidfd_;  // still means this process when its number is reused
};

}  // namespace vsphere::vddk

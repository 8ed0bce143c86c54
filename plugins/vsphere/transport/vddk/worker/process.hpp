// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "common/util/fd.hpp"

namespace vsphere::vddk {

// From the end of a helper's socket to its own.
inline constexpr std::chrono::milliseconds reap_time{5'000};

// A child of ours. Started by posix_spawn: nbdkit has threads, so a fork would not do.
class Process {
 public:
  // Runs the program with nothing but `socket`, as helper_socket, and our stderr; in a session of its
  // own, so that what ends us need not end it. LD_LIBRARY_PATH begins with `library_path`. Throws
  // util::Error.
  Process(const std::string &program, const std::string &library_path, const util::Fd &socket);
  // Kills it if it still runs.
  ~Process();
  Process(const Process &) = delete;
  Process &operator=(const Process &) = delete;

  // SIGKILL; nothing to do if it has ended. From any thread.
  void kill() const noexcept;
  // One thread at a time. How it ended, as a sentence's end: "was killed by signal 11 (Segmentation fault)". Kills it if it
  // does not end in time.
  std::string wait(std::chrono::milliseconds time) noexcept;

 private:
  pid_t pid_ = -1;
  util::Fd pidfd_;  // stays that process when the number is used anew
};

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

namespace {

struct Actions {
  posix_spawn_file_actions_t value;
  Actions() { ::posix_spawn_file_actions_init(&value); }
  ~Actions() { ::posix_spawn_file_actions_destroy(&value); }
};

struct Attributes {
  posix_spawnattr_t value;
  Attributes() { ::posix_spawnattr_init(&value); }
  ~Attributes() { ::posix_spawnattr_destroy(&value); }
};

std::vector<std::string> environment_with(const std::string &library_path) {
  constexpr std::string_view name = "LD_LIBRARY_PATH=";
  std::string first = std::string(name) + library_path;
  std::vector<std::string> all;
  for (char **e = environ; *e != nullptr; ++e) {
    std::string_view entry = *e;
    if (!entry.starts_with(name)) {
      all.emplace_back(entry);
    } else if (entry.size() > name.size()) {
      first += ':';
      first += entry.substr(name.size());
    }
  }
  all.push_back(first);
  return all;
}

std::string describe(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with status {}", WEXITSTATUS(status));
  int signal = WTERMSIG(status);
  return fmt::format("was killed by signal {} ({})", signal, ::sigdescr_np(signal));
}

}  // namespace

Process::Process(const std::string &program, const std::string &library_path,
                 const util::Fd &socket) {
  Actions actions;
  ::posix_spawn_file_actions_addopen(&actions.value, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  // nbdkit's stdout may be the connection to a client (nbdkit -s).
  ::posix_spawn_file_actions_adddup2(&actions.value, STDERR_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions.value, socket.get(), helper_socket);
  Attributes attributes;
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes.value, &none);
  ::posix_spawnattr_setsigdefault(&attributes.value, &all);
  ::posix_spawnattr_setflags(&attributes.value,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);

  std::vector<std::string> environment = environment_with(library_path);
  std::vector<char *> pointers;
  for (auto &entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  std::string name = program;
  char *arguments[] = {name.data(), nullptr};
  int error = ::posix_spawn(&pid_, program.c_str(), &actions.value, &attributes.value, arguments,
                            pointers.data());
  if (error != 0) {
    pid_ = -1;
    util::fail_os(error, "cannot start {}", program);
  }
  pidfd_ = util::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) {
    error = errno;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    util::fail_os(error, "cannot watch {} (pidfd_open)", program);
  }
}

Process::~Process() {
  kill();
  wait(std::chrono::milliseconds(1000));
}

void Process::kill() const noexcept {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

std::string Process::wait(std::chrono::milliseconds time) noexcept {
  if (pid_ <= 0) return "has ended";
  const bool late = !util::readable_by(pidfd_.get(), std::chrono::steady_clock::now() + time);
  if (late) kill();
  int status = 0;
  pid_t got;
  do {
    got = ::waitpid(pid_, &status, 0);
  } while (got < 0 && errno == EINTR);
  pid_ = -1;
  try {
    if (late) return "did not end, and was killed";
    return got < 0 ? "has ended" : describe(status);
  } catch (const std::exception &) {
    return "";
  }
}

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/durable_calls.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <optional>

namespace {

std::mutex mutex;
std::optional<std::vector<std::string>> calls;  // none: nobody records
std::function<void(const std::string &)> called_with;

std::string name_of(const std::filesystem::path &path) {
  std::string name = path.filename();
  size_t random = name.find(".tmp-");
  return random == std::string::npos ? name : name.substr(0, random) + ".tmp";
}

void record(const std::string &call) {
  std::function<void(const std::string &)> called;
  {
    std::lock_guard lock(mutex);
    if (calls) calls->push_back(call);
    called = called_with;
  }
  if (called) called(call);
}

std::filesystem::path file_of(int fd) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
}

int sync(int fd) {
  struct stat st = {};
  if (::fstat(fd, &st) < 0) return -1;
  if (S_ISDIR(st.st_mode)) {
    record("sync directory");
  } else {
    record("sync " + name_of(file_of(fd)) + " " + std::to_string(st.st_size));
  }
  return 0;
}

}  // namespace

namespace testing {

DurableCalls::DurableCalls(std::function<void(const std::string &)> called) {
  std::lock_guard lock(mutex);
  calls.emplace();
  called_with = std::move(called);
}

DurableCalls::~DurableCalls() {
  std::lock_guard lock(mutex);
  calls.reset();
  called_with = nullptr;
}

std::vector<std::string> DurableCalls::list() const {
  std::lock_guard lock(mutex);
  return *calls;
}

}  // namespace testing

extern "C" {

int fsync(int fd) {
  return sync(fd);
}
int fdatasync(int fd) {
  return sync(fd);
}

int posix_fadvise(int fd, off_t, off_t, int advice) noexcept {
  if (advice == POSIX_FADV_DONTNEED) record("forget " + name_of(file_of(fd)));
  return 0;
}

int rename(const char *from, const char *to) noexcept {
  record("rename " + name_of(from) + " " + name_of(to));
  return static_cast<int>(::syscall(SYS_rename, from, to));
}
int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags) noexcept {
  record("rename " + name_of(from) + " " + name_of(to));
  return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags));
}
int link(const char *from, const char *to) noexcept {
  record("link " + name_of(from) + " " + name_of(to));
  return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

}  // extern "C"

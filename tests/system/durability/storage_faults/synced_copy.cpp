// SPDX-License-Identifier: BSD-3-Clause
//
// For a simulated power loss. After each fsync or fdatasync, and before it returns, the file is copied to
// $STORAGE_SYNCED/INODE: all that the server may rely on after a power loss. The inode and not the name, as files are
// renamed. A failure to copy aborts the server.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "concerned.hpp"

namespace {

// Holes of the file become zeroes of the copy. The file may be open for writing alone.
void copy(int synced, const struct stat &status) {
  // Copies in one order: the copy that is renamed last has been made last.
  static std::mutex copying;
  const std::scoped_lock lock(copying);
  const std::string name = std::getenv("STORAGE_SYNCED") + ("/" + std::to_string(status.st_ino));
  const std::string temporary = name + ".new";
  const int fd = ::open(("/proc/self/fd/" + std::to_string(synced)).c_str(), O_RDONLY | O_CLOEXEC);
  const int to = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || to < 0) std::abort();
  std::array<char, 1 << 16> piece;
  off_t at = 0;
  for (ssize_t n; (n = ::pread(fd, piece.data(), piece.size(), at)) != 0; at += n) {
    if (n < 0 || ::pwrite(to, piece.data(), static_cast<size_t>(n), at) != n) std::abort();
  }
  ::close(fd);
  if (::close(to) < 0 || std::rename(temporary.c_str(), name.c_str()) < 0) std::abort();
}

int synced(const char *function, int fd) {
  const auto real = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, function));
  const int result = real(fd);
  struct stat status;
  if (result == 0 && is_concerned(fd) && ::fstat(fd, &status) == 0) copy(fd, status);
  return result;
}

}  // namespace

int fsync(int fd) {
  return synced("fsync", fd);
}
int fdatasync(int fd) {
  return synced("fdatasync", fd);
}

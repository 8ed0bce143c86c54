// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace util {

namespace {

// False: another process holds it.
bool lock(const Fd &fd, const std::string &path) {
  int result;
  do {
    result = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  fail_os(errno, "cannot lock {} (it has to lie on a file system that has locks)", path);
}

// Empty if there is no such file. It is opened for writing if that is allowed: NFS makes of flock(2) a lock of
// byte ranges, which is exclusive only for who can write. O_NONBLOCK: a FIFO of that name must not block.
Fd open_to_lock(const std::string &path) {
  int raw = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (raw < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
    raw = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  if (raw < 0 && errno != ENOENT) fail_os(errno, "cannot open {}", path);
  return Fd(raw);
}

}  // namespace

std::string lock_path_of(const std::string &path) {
  return resolve_links(path) + ".lock";
}

std::optional<FileLock> FileLock::try_lock(const std::string &path) {
  const std::string lock_path = lock_path_of(path);
  Fd lock_fd = open_file(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!lock(lock_fd, lock_path)) return std::nullopt;
  Fd file = open_to_lock(path);
  if (file && !lock(file, path)) return std::nullopt;
  return FileLock(std::move(lock_fd), std::move(file));
}

}  // namespace util

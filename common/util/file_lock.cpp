// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "common/util/error.hpp"

namespace util {

std::string lock_path_of(const std::string &path) {
  return path + ".lock";
}

std::optional<Fd> try_lock_file(const std::string &path) {
  const std::string lock_path = lock_path_of(path);
  Fd fd = open_file(lock_path, O_RDWR | O_CREAT);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return std::nullopt;
  fail_os(errno, "cannot lock {}", lock_path);
}

}  // namespace util

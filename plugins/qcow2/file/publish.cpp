// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/publish.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"

namespace qcow2 {

std::string partial_name(const std::string &path) {
  return path + ".partial";
}

void publish(const std::string &from, const std::string &to, bool replace) {
  int r = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), replace ? 0 : RENAME_NOREPLACE);
  // Not every file system supports the flag.
  if (r < 0 && errno == EINVAL) r = ::rename(from.c_str(), to.c_str());
  if (r < 0) util::fail_os(errno, "cannot rename {} to {}", from, to);
  std::string directory = util::directory_of(to);
  util::Fd fd = util::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) < 0) util::fail_os(errno, "cannot sync {}", directory);
}

}  // namespace qcow2

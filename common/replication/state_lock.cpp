// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/state_lock.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace replication {

util::FileLock lock_state(const std::string &parameter, const std::string &path) {
  // A state that cannot be replaced is reported at the start, when the user can still correct it.
  std::string file, directory = util::directory_of(path);
  if (::access(directory.c_str(), X_OK) == 0) {
    file = util::resolve_links(path);  // the file is replaced where it lies
    directory = util::directory_of(file);
  }
  if (::access(directory.c_str(), W_OK | X_OK) < 0) {
    util::fail_os(errno, "{}={}: cannot write to the directory {}", parameter, path, directory);
  }
  auto lock = util::FileLock::try_lock(path);
  if (!lock) {
    util::fail(EBUSY,
               "{}={}: another server is using this state file (it holds {} or the file "
               "itself): a destination can have one server only; wait until that one has ended",
               parameter, path, util::lock_path_of(path));
  }
  durability::remove_unfinished(file);
  return *std::move(lock);
}

}  // namespace replication

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/state_lock.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace apply {

util::FileLock lock_state(const std::string &path) {
  // A state that cannot be replaced is reported at the start, when the user can still correct it.
  std::string file, directory = util::directory_of(path);
  if (::access(directory.c_str(), X_OK) == 0) {
    file = util::resolve_links(path);  // the file is replaced where it lies
    directory = util::directory_of(file);
  }
  if (::access(directory.c_str(), W_OK | X_OK) < 0) {
    util::fail_os(errno, "apply-state={}: cannot write to the directory {}", path, directory);
  }
  auto lock = util::FileLock::try_lock(path);
  if (!lock) {
    util::fail(EBUSY,
               "apply-state={}: another server is using this state file (it holds {} or the file "
               "itself): a destination can have one server only; wait until that one has ended",
               path, util::lock_path_of(path));
  }
  durability::remove_unfinished(file);
  return *std::move(lock);
}

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/state/state_lock.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "common/util/file_lock.hpp"

namespace apply {

util::Fd lock_state(const std::string &path) {
  // A state that cannot be replaced is reported at the start, when the user can still correct it.
  std::string directory = util::directory_of(path);
  if (::access(directory.c_str(), W_OK | X_OK) < 0) {
    util::fail_os(errno, "apply-state={}: cannot write to the directory {}", path, directory);
  }
  if (auto lock = util::try_lock_file(path)) return *std::move(lock);
  util::fail(EBUSY,
             "apply-state={}: another server is using this state file (it holds {}): a destination "
             "can have one server only; wait until that one has ended",
             path, util::lock_path_of(path));
}

}  // namespace apply

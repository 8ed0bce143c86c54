// SPDX-License-Identifier: BSD-3-Clause
//
// A lock that keeps other processes from a file that is replaced as a whole, such as a state file.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "common/util/fd.hpp"

namespace util {

// Where the lock of a file lies: PATH.lock, after symbolic links in PATH have been resolved. (The file
// itself is replaced at each save, so it cannot carry the lock alone.) Throws Error.
std::string lock_path_of(const std::string &path);

// Held as long as the object, or a copy of it inherited by a fork, exists.
class FileLock {
 public:
  // Takes the locks (flock(2)) of lock_path_of(path) and, if it exists, of the file itself: so neither a
  // symbolic link nor a hard link, which another process is given as the file's name, lets that process
  // have it too. Nothing if another process holds one of them. Throws Error if a file cannot be opened,
  // created (0600 less the umask) or locked, or if PATH.lock is a symbolic link.
  static std::optional<FileLock> try_lock(const std::string &path);

 private:
  FileLock(Fd lock, Fd file) : lock_(std::move(lock)), file_(std::move(file)) {}
  Fd lock_;  // of PATH.lock
  Fd file_;  // empty if the file did not exist
};

}  // namespace util

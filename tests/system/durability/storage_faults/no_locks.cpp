// SPDX-License-Identifier: BSD-3-Clause
//
// If $STORAGE_NO_LOCKS is set the file system has no locks, as NFS without a lock daemon. If $STORAGE_NFS is set flock(2)
// of files anywhere asks for what NFS 4 does, which makes of it a lock of byte ranges: an exclusive lock is only for who
// can write, a shared one only for who can read. Directories, as that of temporary files, are on a local file system.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>

#include "concerned.hpp"

namespace {

template <typename Function>
Function *real(const char *name) {
  return reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name));
}

bool refused(int fd) {
  if (std::getenv("STORAGE_NO_LOCKS") == nullptr || !is_concerned(fd)) return false;
  errno = ENOLCK;
  return true;
}

bool refused_by_nfs(int fd, int operation) {
  struct stat status = {};
  if (std::getenv("STORAGE_NFS") == nullptr || ::fstat(fd, &status) != 0 ||
      !S_ISREG(status.st_mode))
    return false;
  const int access = ::fcntl(fd, F_GETFL) & O_ACCMODE;
  if (((operation & LOCK_EX) == 0 || access != O_RDONLY) &&
      ((operation & LOCK_SH) == 0 || access != O_WRONLY))
    return false;
  errno = EBADF;
  return true;
}

}  // namespace

extern "C" {

int control(int fd, int command, ...) asm("fcntl64");
int control(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  const bool locks = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
  if (locks && refused(fd)) return -1;
  return real<decltype(control)>("fcntl64")(fd, command, argument);
}

int lock_file(int fd, int operation) asm("flock");
int lock_file(int fd, int operation) {
  return refused(fd) || refused_by_nfs(fd, operation)
             ? -1
             : real<decltype(lock_file)>("flock")(fd, operation);
}

}  // extern "C"

// SPDX-License-Identifier: BSD-3-Clause
//
// If $STORAGE_NO_LOCKS is set the file system has no locks, as NFS without a lock daemon.
#include <dlfcn.h>
#include <fcntl.h>

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
  return refused(fd) ? -1 : real<decltype(lock_file)>("flock")(fd, operation);
}

}  // extern "C"

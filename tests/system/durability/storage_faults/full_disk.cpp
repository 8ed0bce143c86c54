// SPDX-License-Identifier: BSD-3-Clause
//
// While the file $STORAGE_FULL exists, the storage is full: writes fail, also over what is there, as on a file system
// with copy-on-write. To make holes succeeds.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "concerned.hpp"

namespace {

bool is_full(int fd) {
  const char *file = std::getenv("STORAGE_FULL");
  const int before = errno;
  const bool full = file != nullptr && ::access(file, F_OK) == 0 && is_concerned(fd);
  errno = full ? ENOSPC : before;
  return full;
}

template <typename Function>
Function *real(const char *name) {
  return reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name));
}

int allocate(int fd, int mode, off64_t offset, off64_t length) {
  if ((mode & FALLOC_FL_PUNCH_HOLE) == 0 && is_full(fd)) return -1;
  return real<decltype(allocate)>("fallocate64")(fd, mode, offset, length);
}

ssize_t write_at(int fd, const void *data, size_t length, off64_t offset) {
  return is_full(fd) ? -1 : real<decltype(write_at)>("pwrite64")(fd, data, length, offset);
}

}  // namespace

// The C library has these functions by two names each, which are one where off_t has 64 bits.
extern "C" {

int allocate_1(int fd, int mode, off64_t offset, off64_t length) asm("fallocate");
int allocate_1(int fd, int mode, off64_t offset, off64_t length) {
  return allocate(fd, mode, offset, length);
}

int allocate_2(int fd, int mode, off64_t offset, off64_t length) asm("fallocate64");
int allocate_2(int fd, int mode, off64_t offset, off64_t length) {
  return allocate(fd, mode, offset, length);
}

ssize_t write_1(int fd, const void *data, size_t length, off64_t offset) asm("pwrite");
ssize_t write_1(int fd, const void *data, size_t length, off64_t offset) {
  return write_at(fd, data, length, offset);
}

ssize_t write_2(int fd, const void *data, size_t length, off64_t offset) asm("pwrite64");
ssize_t write_2(int fd, const void *data, size_t length, off64_t offset) {
  return write_at(fd, data, length, offset);
}

ssize_t write_parts(int fd, const iovec *parts, int count, off64_t offset) asm("pwritev64");
ssize_t write_parts(int fd, const iovec *parts, int count, off64_t offset) {
  return is_full(fd) ? -1 : real<decltype(write_parts)>("pwritev64")(fd, parts, count, offset);
}

}  // extern "C"

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/image_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <initializer_list>

#include "common/util/error.hpp"

namespace qcow2 {

namespace {

constexpr off_t used = 100;
constexpr off_t unshared = 200;
enum Permission : off_t { consistent_read = 0, write = 1, resize = 3 };

struct flock byte_lock(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// On NFS without a lock daemon, and some FUSE and cluster file systems, the file system has no locks.
[[noreturn]] void fail_to_lock(const std::string &path) {
  util::fail_os(errno,
                "cannot lock {} (where the file system has no locks, lock=off does without them: "
                "no other program "
                "may use the image then)",
                path);
}

void take(const util::Fd &fd, const std::string &path, off_t byte) {
  struct flock lock = byte_lock(F_RDLCK, byte);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) < 0) fail_to_lock(path);
}

bool taken_by_another(const util::Fd &fd, const std::string &path, off_t byte) {
  struct flock lock = byte_lock(F_WRLCK, byte);
  // F_OFD_GETLK takes no lock, so the descriptor may be open for reading only.
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) < 0) fail_to_lock(path);
  return lock.l_type != F_UNLCK;
}

}  // namespace

// Takes its own locks first and then looks at the others': of two processes that open an image at
// the same time at least one sees the other.
void lock_image(const util::Fd &fd, const std::string &path, Use use) {
  std::initializer_list<Permission> ours = {consistent_read, write, resize};
  std::initializer_list<Permission> reading = {consistent_read};
  auto uses = use == Use::write ? ours : reading;
  for (Permission p : uses) take(fd, path, used + p);
  for (Permission p : {write, resize}) take(fd, path, unshared + p);
  for (Permission p : uses) {
    if (taken_by_another(fd, path, unshared + p)) {
      util::fail(EBUSY,
                 "{} is in use by another process (QEMU, qemu-nbd, qemu-img or nbdkit): end "
                 "that first",
                 path);
    }
  }
  for (Permission p : {write, resize}) {
    if (taken_by_another(fd, path, used + p)) {
      util::fail(EBUSY,
                 "{} is being written by another process (QEMU, qemu-nbd, qemu-img or "
                 "nbdkit): end that first",
                 path);
    }
  }
}

}  // namespace qcow2

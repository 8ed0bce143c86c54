// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

SharedMemory::SharedMemory(unsigned slots)
    : fd_(::memfd_create("vddk", MFD_CLOEXEC | MFD_ALLOW_SEALING)), slots_(slots) {
  if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size())) < 0 ||
      ::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    util::fail_os(errno, "cannot make {} bytes of shared memory", size());
  }
  map();
}

SharedMemory::SharedMemory(util::Fd fd, unsigned slots) : fd_(std::move(fd)), slots_(slots) {
  struct stat st = {};
  if (!fd_ || ::fstat(fd_.get(), &st) < 0 || static_cast<size_t>(st.st_size) != size()) {
    util::fail(EPROTO, "the shared memory is missing or has another size");
  }
  map();
}

SharedMemory::~SharedMemory() {
  ::munmap(data_, size());
}

std::span<std::byte> SharedMemory::slot(unsigned number) const {
  return {static_cast<std::byte *>(data_) + number * slot_size, slot_size};
}

size_t SharedMemory::size() const {
  return slots_ * slot_size;
}

void SharedMemory::map() {
  data_ = ::mmap(nullptr, size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (data_ == MAP_FAILED) util::fail_os(errno, "cannot map {} bytes of shared memory", size());
}

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

SharedMemory::SharedMemory(unsigned slots)
    : fd_(::memfd_create("vddk", MFD_CLOEXEC | MFD_ALLOW_SEALING)), size_(slots * slot_size) {
  if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size_)) < 0 ||
      ::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    util::fail_os(errno, "cannot make {} bytes of shared memory", size_);
  }
  data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (data_ == MAP_FAILED) util::fail_os(errno, "cannot map {} bytes of shared memory", size_);
}

SharedMemory::~SharedMemory() {
  ::munmap(data_, size_);
}

std::span<std::byte> SharedMemory::slot(unsigned number) const {
  return {static_cast<std::byte *>(data_) + number * slot_size, slot_size};
}

}  // namespace vsphere::vddk

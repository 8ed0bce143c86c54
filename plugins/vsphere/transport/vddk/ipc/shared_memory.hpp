// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "common/util/fd.hpp"

namespace vsphere::vddk {

// The slots that the plugin and its helper share. Its size is sealed: neither side can make the other
// fault by cutting it. From any thread.
class SharedMemory {
 public:
  explicit SharedMemory(unsigned slots);  // throws util::Error
  ~SharedMemory();
  SharedMemory(const SharedMemory &) = delete;
  SharedMemory &operator=(const SharedMemory &) = delete;

  int fd() const { return fd_.get(); }
  std::span<std::byte> slot(unsigned number) const;  // slot_size bytes

 private:
  util::Fd fd_;
  const size_t size_;  // bytes
  void *data_ = nullptr;
};

}  // namespace vsphere::vddk

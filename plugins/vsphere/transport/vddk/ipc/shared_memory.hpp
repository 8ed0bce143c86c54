// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "common/util/fd.hpp"

namespace vsphere::vddk {

// Memory that the plugin and its helper process share, divided into slots. Its size is sealed, so
// that neither process can shrink it under the other. May be used from any thread.
class SharedMemory {
 public:
  explicit SharedMemory(unsigned slots);  // makes new memory; throws util::Error
  // Maps memory that the other process has made. Throws util::Error EPROTO if it has another size.
  SharedMemory(util::Fd fd, unsigned slots);
  ~SharedMemory();
  SharedMemory(const SharedMemory &) = delete;
  SharedMemory &operator=(const SharedMemory &) = delete;

  int fd() const { return fd_.get(); }
  unsigned slots() const { return slots_; }
  std::span<std::byte> slot(unsigned number) const;  // slot_size bytes

 private:
  size_t size() const;  // bytes
  void map();

  util::Fd fd_;
  const unsigned slots_;
  void *data_ = nullptr;
};

}  // namespace vsphere::vddk

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/buffer.hpp"

#include <sys/mman.h>

namespace coalesce {

bool Budget::take(uint64_t bytes) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

Buffer Buffer::allocate(Budget &budget, size_t bytes) {
  Buffer buffer;
  if (!budget.take(bytes)) return buffer;
  void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    budget.give_back(bytes);
    return buffer;
  }
  buffer.budget_ = &budget;
  buffer.bytes_ = {static_cast<std::byte *>(p), bytes};
  return buffer;
}

Buffer::~Buffer() {
  if (budget_ == nullptr) return;
  munmap(bytes_.data(), bytes_.size());
  budget_->give_back(bytes_.size());
}

}  // namespace coalesce

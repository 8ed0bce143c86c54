// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/cache/buffer.hpp"

#include <sys/mman.h>

namespace coalesce {

uint64_t Budget::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

uint64_t Budget::spare() const {
  std::lock_guard lock(mutex_);
  return spare_;
}

Budget::Memory Budget::take(size_t bytes) {
  std::lock_guard lock(mutex_);
  // The smallest that is large enough, if it is not much too large.
  auto best = spares_.end();
  for (auto it = spares_.begin(); it != spares_.end(); ++it) {
    if (it->size() < bytes || it->size() - bytes > bytes / 4) continue;
    if (best == spares_.end() || it->size() < best->size()) best = it;
  }
  Memory memory;
  if (best != spares_.end()) {
    memory = *best;
    spares_.erase(best);
    spare_ -= memory.size();
  } else {
    if (bytes > limit_ - used_) return {};
    auto keep = spares_.begin();
    for (; bytes > limit_ - used_ - spare_; ++keep) {
      spare_ -= keep->size();
      munmap(keep->data(), keep->size());
    }
    spares_.erase(spares_.begin(), keep);
    spares_.reserve(in_use_ + 1 + spares_.size());
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return {};
    memory = {static_cast<std::byte *>(p), bytes};
  }
  used_ += memory.size();
  ++in_use_;
  return memory;
}

void Budget::give_back(Memory memory) noexcept {
  std::lock_guard lock(mutex_);
  used_ -= memory.size();
  spare_ += memory.size();
  --in_use_;
  spares_.push_back(memory);  // has room: see take()
}

void Budget::drop_spares() noexcept {
  std::lock_guard lock(mutex_);
  for (Memory memory : spares_) munmap(memory.data(), memory.size());
  spares_.clear();
  spare_ = 0;
}

Buffer Buffer::allocate(Budget &budget, size_t bytes) {
  Buffer buffer;
  auto memory = budget.take(bytes);
  if (memory.empty()) return buffer;
  buffer.budget_ = &budget;
  buffer.memory_ = memory;
  buffer.bytes_ = memory.first(bytes);
  return buffer;
}

Buffer::~Buffer() {
  if (budget_ != nullptr) budget_->give_back(memory_);
}

}  // namespace coalesce

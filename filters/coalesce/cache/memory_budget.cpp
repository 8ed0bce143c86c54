// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/cache/memory_budget.hpp"

#include <sys/mman.h>

namespace coalesce {

uint64_t MemoryBudget::used() const {
  util::MutexLock lock(mutex_);
  return used_;
}

uint64_t MemoryBudget::spare() const {
  util::MutexLock lock(mutex_);
  return spare_;
}

MemoryBudget::Memory MemoryBudget::take(size_t bytes) {
  util::MutexLock lock(mutex_);
  // The smallest one that is large enough, if it wastes no more than a quarter.
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

void MemoryBudget::give_back(Memory memory) noexcept {
  util::MutexLock lock(mutex_);
  used_ -= memory.size();
  spare_ += memory.size();
  --in_use_;
  spares_.push_back(memory);  // take() has reserved the capacity
}

void MemoryBudget::drop_spares() noexcept {
  util::MutexLock lock(mutex_);
  for (Memory memory : spares_) munmap(memory.data(), memory.size());
  spares_.clear();
  spare_ = 0;
}

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/cache/buffer.hpp"

namespace coalesce {

Buffer Buffer::allocate(MemoryBudget &budget, size_t bytes) {
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

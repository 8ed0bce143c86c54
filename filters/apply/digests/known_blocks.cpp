// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/digests/known_blocks.hpp"

#include <algorithm>

namespace apply {

using util::MutexLock;

KnownBlocks::KnownBlocks(uint64_t blocks) : known_(blocks) {}

KnownBlocks::Op KnownBlocks::begin(BlockRange blocks) {
  MutexLock lock(mutex_);
  mark(blocks, false);
  const Op op = operations_.insert(operations_.end(), {blocks});
  for (Operation &other : operations_) {
    const BlockRange both{std::max(blocks.first, other.blocks.first),
                          std::min(blocks.end, other.blocks.end)};
    if (&other == &*op || both.first >= both.end) continue;
    other.conflicts.push_back(both);
    op->conflicts.push_back(both);
  }
  return op;
}

void KnownBlocks::end(Op op, BlockRange written) {
  MutexLock lock(mutex_);
  mark(written, true);
  for (const BlockRange &conflict : op->conflicts) mark(conflict, false);
  operations_.erase(op);
}

void KnownBlocks::set(BlockRange blocks) {
  MutexLock lock(mutex_);
  mark(blocks, true);
}

std::vector<bool> KnownBlocks::get(BlockRange blocks) const {
  MutexLock lock(mutex_);
  const auto begin = known_.begin();
  return {begin + static_cast<ptrdiff_t>(blocks.first), begin + static_cast<ptrdiff_t>(blocks.end)};
}

uint64_t KnownBlocks::count() const {
  MutexLock lock(mutex_);
  return static_cast<uint64_t>(std::count(known_.begin(), known_.end(), true));
}

void KnownBlocks::mark(BlockRange blocks, bool known) {
  if (blocks.first >= blocks.end) return;
  std::fill(known_.begin() + static_cast<ptrdiff_t>(blocks.first),
            known_.begin() + static_cast<ptrdiff_t>(blocks.end), known);
}

}  // namespace apply

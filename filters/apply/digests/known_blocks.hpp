// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "common/util/mutex.hpp"
#include "filters/apply/digests/block_range.hpp"

namespace apply {

// Of which blocks of a disk the digest has been written to the file. One bit for each block. May be used from any thread.
class KnownBlocks {
  struct Operation {
    BlockRange blocks;
    // Parts that another request under way at the same time touches: what they hold afterwards is not known.
    std::vector<BlockRange> conflicts = {};
  };

 public:
  using Op = std::list<Operation>::iterator;

  explicit KnownBlocks(uint64_t blocks);

  // Before a request that changes something of these blocks: none of them is known.
  Op begin(BlockRange blocks) ABSL_LOCKS_EXCLUDED(mutex_);
  // After it. `written`: those of its blocks whose digest is in the file; they are known from now on, but for those
  // that another request has touched meanwhile.
  void end(Op op, BlockRange written) ABSL_LOCKS_EXCLUDED(mutex_);

  // Without a request: while there are none.
  void set(BlockRange blocks) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<bool> get(BlockRange blocks) const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t count() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void mark(BlockRange blocks, bool known) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable util::Mutex mutex_;  // held for no I/O; no other lock is taken while it is held
  std::vector<bool> known_ ABSL_GUARDED_BY(mutex_);
  std::list<Operation> operations_ ABSL_GUARDED_BY(mutex_);  // under way
};

}  // namespace apply

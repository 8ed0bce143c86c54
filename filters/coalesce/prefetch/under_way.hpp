// SPDX-License-Identifier: BSD-3-Clause
//
// The reads of the layer below that are under way.
#pragma once

#include <atomic>
#include <cstdint>

#include "filters/coalesce/plan/read_cost.hpp"

namespace coalesce {

// Short and long reads (see ReadCost) are counted apart. Any thread may call it.
class UnderWay {
 public:
  // chunk: of Settings; bytes.
  explicit UnderWay(uint64_t chunk) : chunk_(chunk) {}

  // One read, as long as it exists.
  class Read {
   public:
    Read(UnderWay &reads, uint64_t bytes)
        : mine_(ReadCost::is_short(bytes, reads.chunk_) ? reads.short_ : reads.long_),
          others_(&mine_ == &reads.short_ ? reads.long_ : reads.short_),
          before_(++mine_),
          alone_(others_ == 0) {}
    ~Read() { --mine_; }
    Read(const Read &) = delete;
    Read &operator=(const Read &) = delete;

    // How many are under way, itself among them: the mean of what was at its begin and what is now. 0: of both kinds,
    // so that its time tells nothing of its own kind.
    unsigned parallel() const { return alone_ && others_ == 0 ? (before_ + mine_) / 2 : 0; }

   private:
    std::atomic<unsigned> &mine_, &others_;
    const unsigned before_;
    const bool alone_;
  };

 private:
  const uint64_t chunk_;
  std::atomic<unsigned> short_ = 0, long_ = 0;
};

}  // namespace coalesce

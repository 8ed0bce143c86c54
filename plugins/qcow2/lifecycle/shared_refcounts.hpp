// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace qcow2 {

// How many compressed clusters refer to each host cluster. Counts are kept for a part of the file at
// a time, and counted anew for the next one: 16 MiB of memory, whatever the length of the file. For
// one thread.
class Sharing {
 public:
  // `count` calls add() for every reference there is, each time the same ones. clusters: of the file.
  Sharing(uint64_t clusters, std::function<void(Sharing &)> count, uint64_t most = 4u << 20)
      : count_(std::move(count)), most_(std::min(clusters, most)) {}

  // Before references(): every reference.
  void add(uint64_t cluster) {
    last_ = std::max(last_, cluster);
    if (cluster < first_ || cluster - first_ >= most_) return;
    if (counts_.empty()) counts_.resize(most_);
    ++counts_[cluster - first_];
  }

  // To be asked in order, or the counting is done more often than it has to. Throws what `count`
  // throws.
  uint64_t references(uint64_t cluster) {
    if (cluster > last_) return 0;
    if (cluster < first_ || cluster - first_ >= most_) {
      first_ = cluster;
      std::fill(counts_.begin(), counts_.end(), 0);
      count_(*this);
    }
    return counts_.empty() ? 0 : counts_[cluster - first_];
  }

 private:
  const std::function<void(Sharing &)> count_;
  const uint64_t most_;
  uint64_t first_ = 0;
  uint64_t last_ = 0;  // the last that is referred to
  std::vector<uint32_t> counts_;
};

}  // namespace qcow2

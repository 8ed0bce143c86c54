// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace qcow2 {

// Counts how many compressed clusters refer to each host cluster. Counts are kept for one part of
// the file at a time, and counted again for the next part, so they take at most 16 MiB of memory.
// Used by one thread.
class SharedRefcounts {
 public:
  // count: calls add() for every reference, each time the same ones. clusters: length of the file.
  // max: clusters in a part.
  SharedRefcounts(uint64_t clusters, std::function<void(SharedRefcounts &)> count,
                  uint64_t max = 4u << 20)
      : count_(std::move(count)), max_(std::min(clusters, max)) {}

  // Every reference has to be added once before references().
  void add(uint64_t cluster) {
    last_ = std::max(last_, cluster);
    if (cluster < first_ || cluster - first_ >= max_) return;
    if (counts_.empty()) counts_.resize(max_);
    ++counts_[cluster - first_];
  }

  // Called in ascending order; otherwise the references are counted again more often than
  // necessary. Throws what count() throws.
  uint64_t references(uint64_t cluster) {
    if (cluster > last_) return 0;
    if (cluster < first_ || cluster - first_ >= max_) {
      first_ = cluster;
      std::fill(counts_.begin(), counts_.end(), 0);
      count_(*this);
    }
    return counts_.empty() ? 0 : counts_[cluster - first_];
  }

 private:
  const std::function<void(SharedRefcounts &)> count_;
  const uint64_t max_;
  uint64_t first_ = 0;  // of the part
  uint64_t last_ = 0;   // the last cluster with a reference
  std::vector<uint32_t> counts_;
};

}  // namespace qcow2

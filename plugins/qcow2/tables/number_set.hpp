// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <set>
#include <vector>

namespace qcow2 {

// A few numbers, such as changed parts of a table. For durability::PendingSet.
class NumberSet {
 public:
  void add(uint64_t n) { numbers_.insert(n); }
  void add(const NumberSet &other) {
    numbers_.insert(other.numbers_.begin(), other.numbers_.end());
  }
  void clear() { numbers_.clear(); }
  bool empty() const { return numbers_.empty(); }
  std::vector<uint64_t> numbers() const { return {numbers_.begin(), numbers_.end()}; }

 private:
  std::set<uint64_t> numbers_;
};

}  // namespace qcow2

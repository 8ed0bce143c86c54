// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "plugins/qcow2/tables/atomic_table.hpp"

namespace qcow2 {

// A set of small numbers, such as clusters of a file. May be used from any thread.
class AtomicBitmap {
 public:
  explicit AtomicBitmap(uint64_t count) : words_(count / 64 + 1) {}

  // False if the number was in the set already.
  bool add(uint64_t n) {
    uint64_t bit = uint64_t{1} << n % 64;
    return (words_.set_bits(n / 64, bit) & bit) == 0;
  }
  bool contains(uint64_t n) const {
    return n / 64 < words_.size() && (words_.raw(n / 64) >> n % 64 & 1) != 0;
  }

 private:
  AtomicTable words_;
};

}  // namespace qcow2

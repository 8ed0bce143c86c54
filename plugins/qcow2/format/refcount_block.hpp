// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qcow2 {

// "Refcount block entry": stores entry `index` of a block whose refcounts have 1 << order bits,
// order 0 to 6. Refcounts of less than a byte start at the least significant bit.
inline void store_refcount(std::span<std::byte> block, uint32_t order, uint64_t index,
                           uint64_t value) {
  if (order < 3) {
    uint64_t bits = 1u << order;
    unsigned shift = static_cast<unsigned>(index * bits % 8);
    std::byte &byte = block[index * bits / 8];
    byte = (byte & ~std::byte(((1u << bits) - 1) << shift)) | std::byte(value << shift);
    return;
  }
  size_t bytes = size_t{1} << (order - 3);
  for (size_t i = bytes; i-- > 0; value >>= 8) block[index * bytes + i] = std::byte(value & 0xff);
}

}  // namespace qcow2

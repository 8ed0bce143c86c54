// SPDX-License-Identifier: BSD-3-Clause
//
// Big-endian integers in memory. `p` need not be aligned.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace qcow2 {

namespace big_endian {

inline uint16_t swap(uint16_t n) {
  return __builtin_bswap16(n);
}
inline uint32_t swap(uint32_t n) {
  return __builtin_bswap32(n);
}
inline uint64_t swap(uint64_t n) {
  return __builtin_bswap64(n);
}

}  // namespace big_endian

template <std::unsigned_integral T>
T load_be(const std::byte *p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return std::endian::native == std::endian::big ? value : big_endian::swap(value);
}

template <std::unsigned_integral T>
void store_be(std::byte *p, T value) {
  if (std::endian::native != std::endian::big) value = big_endian::swap(value);
  std::memcpy(p, &value, sizeof value);
}

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/zero.hpp"

#include <cstring>

namespace util {

// Once the first 16 bytes are zero, the buffer is zero if it equals itself shifted by 16: memcmp
// does the rest at the speed of memory.
bool is_zero(std::span<const std::byte> buffer) noexcept {
  constexpr size_t head = 16;
  size_t n = buffer.size() < head ? buffer.size() : head;
  for (size_t i = 0; i < n; ++i) {
    if (buffer[i] != std::byte{0}) return false;
  }
  if (buffer.size() <= head) return true;
  return std::memcmp(buffer.data(), buffer.data() + head, buffer.size() - head) == 0;
}

}  // namespace util

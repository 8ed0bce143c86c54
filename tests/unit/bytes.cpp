// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/bytes.hpp"

#include <cstring>

namespace testing {

namespace {

// SplitMix64. Not a generator of the standard library: its templates may come from a file that is not optimised.
uint64_t next(uint64_t &state) {
  uint64_t z = state += 0x9e37'79b9'7f4a'7c15;
  z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
  return z ^ z >> 31;
}

}  // namespace

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
  std::vector<std::byte> bytes(n);
  uint64_t state = seed, word = 0;
  for (size_t i = 0; i < n; ++i, word >>= 8) {
    if (i % 8 == 0) word = next(state);
    bytes[i] = std::byte((word & 0xff) == 0 ? 1 : word & 0xff);
  }
  return bytes;
}

void make_letters(std::span<std::byte> bytes, unsigned letters) {
  for (auto &b : bytes) b = std::byte('a' + std::to_integer<unsigned>(b) % letters);
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace testing

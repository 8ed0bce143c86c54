// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/bytes.hpp"

#include <cstring>
#include <random>

namespace testing {

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(n);
  for (auto &b : bytes) b = std::byte(random() % 255 + 1);
  return bytes;
}

void make_letters(std::span<std::byte> bytes, unsigned letters) {
  for (auto &b : bytes) b = std::byte('a' + std::to_integer<unsigned>(b) % letters);
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace testing

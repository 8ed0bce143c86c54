// SPDX-License-Identifier: BSD-3-Clause
//
// What tests do with many bytes, one by one. It is optimised in every build: without that, and with a
// sanitizer above all, a test would take most of its time for this, and not for what it tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace testing {

// Bytes that do not compress, none of them zero; the same for the same seed.
std::vector<std::byte> random_bytes(size_t n, uint64_t seed);

// Each byte becomes one of so many letters: what compresses, and the better the fewer they are.
void make_letters(std::span<std::byte> bytes, unsigned letters);

bool equal(std::span<const std::byte> a, std::span<const std::byte> b);

}  // namespace testing

// SPDX-License-Identifier: BSD-3-Clause
//
// Random bytes from the kernel, for keys and for names that nobody can guess.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace util {

// At most 256 bytes: so many are never cut short (getrandom(2)). Throws Error.
void fill_random(std::span<std::byte> bytes);

// So many random bytes as hexadecimal digits, two for each. Throws Error.
std::string random_hex(size_t bytes);

}  // namespace util

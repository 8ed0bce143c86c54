// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

namespace util {

// Whether every byte of the buffer is zero (true for an empty one). Ends at the first that is not.
bool is_zero(std::span<const std::byte> buffer) noexcept;

}  // namespace util

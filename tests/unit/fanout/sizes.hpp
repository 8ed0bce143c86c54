// SPDX-License-Identifier: BSD-3-Clause
//
// The sizes that the tests of fanout compute with, in bytes.
#pragma once

#include <cstdint>

#include "filters/fanout/owed/dirty_map.hpp"

namespace fanout {

inline constexpr uint64_t M = 1u << 20;
inline constexpr uint64_t B = DirtyMap::block;

}  // namespace fanout

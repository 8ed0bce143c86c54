// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON of `nbdinfo --map --json`: [{"offset": 0, "length": 65536, "type": 3, ...}, ...].
#pragma once

#include <string>
#include <string_view>

#include "common/extents/extent_map.hpp"

namespace extents {

// Reads a map. Its extents must follow each other from 0 without gap or overlap; the end of the last
// is the size of the disk. `origin` (a file name) is for the message. Throws util::Error EINVAL.
ExtentMap parse_map(std::string_view text, const std::string &origin);

std::string format_map(const ExtentMap &map);

}  // namespace extents

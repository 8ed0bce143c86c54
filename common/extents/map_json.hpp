// SPDX-License-Identifier: BSD-3-Clause
//
// The JSON of `nbdinfo --map --json`: [{"offset": 0, "length": 65536, "type": 3, ...}, ...].
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/extents/extent_map.hpp"

namespace extents {

// Reads a map. Its extents must follow each other from 0 without gap or overlap; the end of the last
// is the size of the disk. `origin` (a file name) is for the message. Throws util::Error EINVAL.
ExtentMap parse_map(std::string_view text, const std::string &origin);

// Calls add(extent) for each entry of the map in the file, in order; returns the size of the disk.
// A map of any length takes no memory. Throws util::Error: also ENOENT if there is no such file.
uint64_t load_map(const std::string &path, const std::string &origin,
                  const std::function<void(const Extent &)> &add);

// The same for a map of any metadata context: the type has all its flags, and `description` is what the
// entry says of them ("dirty"), or empty.
using AddDescribed = std::function<void(const Extent &, const std::string &description)>;
uint64_t load_context_map(const std::string &path, const std::string &origin,
                          const AddDescribed &add);

std::string format_map(const ExtentMap &map);

}  // namespace extents

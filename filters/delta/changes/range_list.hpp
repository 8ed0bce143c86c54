// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"

namespace delta {

// Lines of an offset and a length in bytes, decimal or 0x-hexadecimal, separated by blanks. What follows
// on a line is ignored, as are empty lines and those that begin with "#". `origin` is for messages. Throws
// util::Error EINVAL with the number of the line.
std::vector<extents::Range> read_range_list(std::istream &in, const std::string &origin);

}  // namespace delta

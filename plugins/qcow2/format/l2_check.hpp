// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "plugins/qcow2/format/geometry.hpp"

namespace qcow2 {

// Checks L2 entries as they are on disk, each for itself. All tables were checked when the image
// was opened, so an entry that is refused here was written by another program since then. `path` is
// for the message. Throws util::Error EIO.
void check_l2_entries(std::span<const std::byte> entries, const Geometry &geometry,
                      const std::string &path);

}  // namespace qcow2

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>

#include "common/nbd/pool.hpp"
#include "filters/apply/disk/disk_bytes.hpp"

namespace apply {

// Reads from a server in requests that keep to its block sizes, all at the same time. Throws
// util::Error with the errno of the first that fails.
void read_aligned(nbd::Pool &pool, std::span<const DiskRead> reads);

}  // namespace apply

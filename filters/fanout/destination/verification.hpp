// SPDX-License-Identifier: BSD-3-Clause
//
// fanout-verify: blocks are read back from the destination and compared with the primary.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// The destination is connected and flushed. Reads back the chosen share of the blocks; those that
// differ are owed again. Ends early, with `verified` false, when the destination is stopped or
// fails. Releases the lock while it reads.
void verify(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

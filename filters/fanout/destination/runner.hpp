// SPDX-License-Identifier: BSD-3-Clause
//
// The thread of a destination: it connects, catches up, saves, verifies.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// The body of the thread. Returns after `stopping` is set.
void run_destination(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);

}  // namespace fanout

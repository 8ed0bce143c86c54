// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination owes is flushed, and saved in its state file.
#pragma once

#include <string>

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// These release the lock while they flush or write the file.

// Flushes the destination. Returns whether that succeeded and it is still connected.
bool flush(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// Flushes, and takes what has arrived out of the state file.
void save(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// After a loss: adds everything that may be missing to the state file. A thread that finds
// at_risk_unsaved does it before it answers its request; a request that ends while another thread
// writes is not held up. An error is logged, and requests go on.
void save_at_risk(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

// At the end, exact to the block. Returns what the log says about it if something is owed.
std::string save_at_end(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);

}  // namespace fanout

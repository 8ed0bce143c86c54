// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination owes is flushed, and saved in its state file.
#pragma once

#include <string>

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// These two release the lock while they flush or write the file.

// Flushes the destination. Returns whether that succeeded and it is still connected.
bool flush(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// Flushes, and takes what has arrived out of the state file.
void save(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

// When it returns, the state file owes everything that the losses so far have made dirty: it writes
// the file, or waits for the thread that does. A client's flush, and a change that was sent and has
// not arrived, is answered after it. Throws util::Error, with the destination, the file and the
// cause, if the file cannot be written. Without fanout-state it does nothing.
void save_at_risk(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);
// One round of that, which DestinationData::loss_saves runs for all that wait.
void claim_losses(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);
// The same as save_at_risk() on the destination's thread, which logs an error once and tries again later. Returns
// whether it has tried.
bool save_at_risk_if_due(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

// At the end, exact to the block. Returns what the log says about it if something is owed.
std::string save_at_end(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);

}  // namespace fanout

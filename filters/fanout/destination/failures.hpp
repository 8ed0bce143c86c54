// SPDX-License-Identifier: BSD-3-Clause
//
// What happens when something goes wrong with a destination.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// A request to the destination has failed, or its connection was found to be lost.
void on_failure(DestinationData &d, const nbd::Failure &failure)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// After each event that may be one failure too many: if the state says that the destination is
// given up, drops the connection and logs it. Returns whether it is.
bool check_given_up(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// What the destination had is owed again, and the state file may not owe it: save_at_risk().
void note_loss(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// What was not flushed is owed again if a flush, or a request with FUA, has failed since the last call. When a request
// has ended, before the ledger is told. The state changes when the one that has failed ends, by on_failure().
void note_failed_syncs(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// Data that was not flushed is owed again.
void drop_connection(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

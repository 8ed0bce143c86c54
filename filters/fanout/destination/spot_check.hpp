// SPDX-License-Identifier: BSD-3-Clause
//
// Whether a destination is the one that was meant: a few blocks that it should have are compared
// with the primary. If another disk, an older copy or an empty one is there, the whole primary is
// owed.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// On the destination's thread, when `spot_check_due`: at each connection of a destination that is
// relied on, and at the end of the run that has made a new one. The destination is connected.
// Requests of clients are neither held up nor deferred. If the connection is lost, or the
// destination is stopped, it is still due. Releases the lock while it reads.
void spot_check(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

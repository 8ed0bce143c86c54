// SPDX-License-Identifier: BSD-3-Clause
//
// How a destination is connected: when the first client comes, and again by its thread.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// When the first client comes, on its thread: connects if the destination has a slot. Throws
// util::Error if that fails, unless the destination may be connected later
// (fanout-on-error=detach).
void connect_first(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);
// On the destination's thread. Does not throw; what fails is noted and counted by the state. The
// lock is released meanwhile.
void connect_again(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

// Whether the destination has a slot (fanout-active), after it has asked for one, or given it back,
// as its state requires. The lock may be released meanwhile.
bool update_slot(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

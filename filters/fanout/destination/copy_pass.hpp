// SPDX-License-Identifier: BSD-3-Clause
//
// One pass of catching up: everything that is dirty is copied once.
#pragma once

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// The destination is connected. Releases the lock while it copies.
void copy_pass(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// How far a destination has come: its gauges, and its lines in the log.
#pragma once

#include <string>

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// At open(): what follows counts from here.
void reset_progress(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// Updates the gauges of the counters, and the speed.
void sample_counters(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
// One line each: the state now, and the totals at the end.
std::string progress_line(const DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);
std::string totals_line(const DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex);

}  // namespace fanout

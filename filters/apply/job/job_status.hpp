// SPDX-License-Identifier: BSD-3-Clause
//
// How far the job is: the line of progress and the statistics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace apply {

// All in bytes but `clients`.
struct JobStatus {
  uint64_t delta = 0;
  uint64_t arrived = 0;  // of the delta
  uint64_t owed = 0;     // of the delta
  size_t clients = 0;    // connected, that may write
  bool failed = false;
  uint64_t written = 0;                   // by clients, in the delta
  uint64_t zeroed = 0;                    // by clients, in the delta
  uint64_t dropped = 0;                   // outside the delta
  std::optional<uint64_t> compared = {};  // outside the delta; nothing without apply-verify=
};

std::string progress_line(const JobStatus &status);
std::string prometheus_text(const JobStatus &status);  // the content of apply-stats=

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// What the filter has done for all clients since the server started.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace coalesce {

// Changed by any thread. Counters that belong together are not changed at the same instant.
struct Counters {
  std::atomic<uint64_t> requests = 0;  // reads by clients
  std::atomic<uint64_t> bytes = 0;     // requested by them
  std::atomic<uint64_t> hits = 0;      // requests answered from chunks that were ready
  std::atomic<uint64_t> waits = 0;     // requests that waited for chunks that were being fetched
  std::atomic<uint64_t> plugin_requests = 0;  // reads of the layer below
  std::atomic<uint64_t> plugin_bytes = 0;     // requested by them, also if they failed
  std::atomic<uint64_t> gap_bytes = 0;        // of plugin_bytes, gaps between data
  std::atomic<uint64_t> wasted_bytes = 0;     // of plugin_bytes, data that no client has read
  std::atomic<uint64_t> streams = 0;          // sequences of reads that were recognised
};

// In Prometheus' text format. held: the memory in use now, in bytes.
std::string prometheus_text(const Counters &counters, uint64_t held);
// In one line, for a person.
std::string summary(const Counters &counters);

}  // namespace coalesce

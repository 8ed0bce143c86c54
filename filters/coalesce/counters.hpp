// SPDX-License-Identifier: BSD-3-Clause
//
// What has been done for the clients, since the server started.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace coalesce {

// Written from any thread; a reader may see a moment between two of them.
struct Counters {
  std::atomic<uint64_t> requests = 0;  // reads of the clients
  std::atomic<uint64_t> bytes = 0;     // that they asked for
  std::atomic<uint64_t> hits = 0;      // requests answered without waiting for the plugin
  std::atomic<uint64_t> waits = 0;     // requests that waited for what was on its way already
  std::atomic<uint64_t> plugin_requests = 0;
  std::atomic<uint64_t> plugin_bytes = 0;  // read from the plugin, or asked for in vain
  std::atomic<uint64_t> gap_bytes = 0;     // of these, what is between data and was read along
  std::atomic<uint64_t> unread_bytes = 0;  // of these, data that no client came for
  std::atomic<uint64_t> streams = 0;       // sequences of reads that were recognised
};

// In Prometheus' text format; with the bytes held in memory now.
std::string prometheus_text(const Counters &counters, uint64_t held);
// In one line, for a person.
std::string summary(const Counters &counters);

}  // namespace coalesce

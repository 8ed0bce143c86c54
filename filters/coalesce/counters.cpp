// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/counters.hpp"

#include <fmt/format.h>

#include "common/stats/prometheus.hpp"

namespace coalesce {

std::string prometheus_text(const Counters &c, uint64_t held) {
  stats::Prometheus text;
  text.counter("nbdkit_coalesce_requests_total", "Reads by clients.").sample(c.requests);
  text.counter("nbdkit_coalesce_bytes_total", "Bytes requested by clients.").sample(c.bytes);
  text.counter("nbdkit_coalesce_hits_total", "Reads by clients answered from memory at once.")
      .sample(c.hits);
  text.counter("nbdkit_coalesce_waits_total",
               "Reads by clients that waited for a read already under way.")
      .sample(c.waits);
  text.counter("nbdkit_coalesce_plugin_requests_total", "Reads from the plugin.")
      .sample(c.plugin_requests);
  text.counter("nbdkit_coalesce_plugin_bytes_total", "Bytes requested from the plugin.")
      .sample(c.plugin_bytes);
  text.counter("nbdkit_coalesce_gap_bytes_total", "Bytes read that lie in gaps between data.")
      .sample(c.gap_bytes);
  text.counter("nbdkit_coalesce_wasted_bytes_total",
               "Bytes of data read ahead that no client read.")
      .sample(c.wasted_bytes);
  text.counter("nbdkit_coalesce_streams_total", "Sequential streams of reads recognised.")
      .sample(c.streams);
  text.gauge("nbdkit_coalesce_held_bytes", "Memory in use for read-ahead.").sample(held);
  return text.text();
}

std::string summary(const Counters &c) {
  return fmt::format(
      "{} requests for {} bytes became {} of the plugin for {} bytes, {} in gaps, {} wasted; "
      "{} hits, {} waits, {} streams",
      c.requests.load(), c.bytes.load(), c.plugin_requests.load(), c.plugin_bytes.load(),
      c.gap_bytes.load(), c.wasted_bytes.load(), c.hits.load(), c.waits.load(), c.streams.load());
}

}  // namespace coalesce

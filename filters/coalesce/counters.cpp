// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/counters.hpp"

#include <fmt/format.h>

#include "common/stats/prometheus.hpp"

namespace coalesce {

std::string prometheus_text(const Counters &c, uint64_t held) {
  stats::Prometheus text;
  text.counter("nbdkit_coalesce_requests_total", "Reads of the clients.").sample(c.requests);
  text.counter("nbdkit_coalesce_bytes_total", "Bytes that the clients read.").sample(c.bytes);
  text.counter("nbdkit_coalesce_hits_total", "Reads answered without waiting for the plugin.")
      .sample(c.hits);
  text.counter("nbdkit_coalesce_waits_total", "Reads that waited for what was being read already.")
      .sample(c.waits);
  text.counter("nbdkit_coalesce_plugin_requests_total", "Reads from the plugin.")
      .sample(c.plugin_requests);
  text.counter("nbdkit_coalesce_plugin_bytes_total", "Bytes read from the plugin.")
      .sample(c.plugin_bytes);
  text.counter("nbdkit_coalesce_gap_bytes_total", "Bytes between data that were read along.")
      .sample(c.gap_bytes);
  text.counter("nbdkit_coalesce_unread_bytes_total", "Bytes read ahead for which no client came.")
      .sample(c.unread_bytes);
  text.counter("nbdkit_coalesce_streams_total", "Sequences of reads recognised.").sample(c.streams);
  text.gauge("nbdkit_coalesce_held_bytes", "Memory in use for what was read ahead.").sample(held);
  return text.text();
}

std::string summary(const Counters &c) {
  return fmt::format(
      "{} requests for {} bytes became {} of the plugin for {} bytes, {} in gaps, {} unread; "
      "{} hits, {} waits, {} streams",
      c.requests.load(), c.bytes.load(), c.plugin_requests.load(), c.plugin_bytes.load(),
      c.gap_bytes.load(), c.unread_bytes.load(), c.hits.load(), c.waits.load(), c.streams.load());
}

}  // namespace coalesce

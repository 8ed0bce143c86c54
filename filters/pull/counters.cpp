// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/counters.hpp"

#include "common/stats/prometheus.hpp"

namespace pull {

std::string prometheus_text(const Counters &counters, const Gauges &gauges) {
  stats::Prometheus text;
  text.gauge("nbdkit_pull_size_bytes", "The size of the source.").sample(gauges.size);
  text.gauge("nbdkit_pull_missing_bytes", "Bytes that are not here yet.").sample(gauges.missing);
  text.gauge("nbdkit_pull_owed_bytes", "Bytes that are not here durably.").sample(gauges.owed);
  text.gauge("nbdkit_pull_connected", "1 if there is a connection to the source.")
      .sample(gauges.connected ? 1 : 0);
  text.counter("nbdkit_pull_retries_total", "Attempts to connect that failed.")
      .sample(gauges.retries);
  text.counter("nbdkit_pull_fetched_bytes_total", "Bytes read from the source.")
      .sample(counters.fetched);
  text.counter("nbdkit_pull_fetched_for_bytes_total", "The same, by what they were read for.")
      .sample("reason", "client", counters.on_demand)
      .sample("reason", "background", counters.in_background);
  text.counter("nbdkit_pull_zero_bytes_total", "Bytes of zeroes that the source has.")
      .sample(counters.zeroes);
  text.counter("nbdkit_pull_read_bytes_total", "Bytes read by clients.").sample(counters.read);
  text.counter("nbdkit_pull_written_bytes_total", "Bytes written, zeroed and trimmed by clients.")
      .sample(counters.written);
  return text.text();
}

}  // namespace pull

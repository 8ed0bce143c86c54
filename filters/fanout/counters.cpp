// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/counters.hpp"

#include "common/stats/prometheus.hpp"

namespace fanout {

std::string prometheus_text(const CountersList &list) {
  stats::Prometheus text;
  auto samples = [&](std::atomic<uint64_t> Counters::*value) {
    for (const auto &c : list) text.sample("destination", c->name, ((*c).*value).load());
  };
  text.counter("nbdkit_fanout_bytes_total", "Bytes of data written and acknowledged.");
  samples(&Counters::bytes);
  text.counter("nbdkit_fanout_zero_bytes_total", "Bytes zeroed and acknowledged.");
  samples(&Counters::zero_bytes);
  text.counter("nbdkit_fanout_requests_total", "Requests acknowledged.");
  samples(&Counters::requests);
  text.gauge("nbdkit_fanout_in_flight", "Requests that are being carried out.");
  samples(&Counters::in_flight);
  text.counter("nbdkit_fanout_copied_bytes_total", "Bytes copied from the primary to catch up.");
  samples(&Counters::copied);
  text.gauge("nbdkit_fanout_owed_bytes", "Bytes that the destination owes.");
  samples(&Counters::owed);
  text.gauge("nbdkit_fanout_in_sync", "1 if the destination is connected and owes nothing.");
  samples(&Counters::in_sync);
  text.counter("nbdkit_fanout_retries_total", "Attempts to connect after a failure.");
  samples(&Counters::retries);
  text.counter("nbdkit_fanout_verify_mismatches_total",
               "Blocks that differed when they were read back.");
  samples(&Counters::verify_mismatches);
  return text.text();
}

}  // namespace fanout

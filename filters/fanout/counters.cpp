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
  text.gauge("nbdkit_fanout_in_flight", "Requests at the server now.");
  samples(&Counters::in_flight);
  return text.text();
}

}  // namespace fanout

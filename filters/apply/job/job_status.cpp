// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/job_status.hpp"

#include <fmt/format.h>

#include "common/stats/prometheus.hpp"

namespace apply {

std::string progress_line(const JobStatus &s) {
  std::string line =
      fmt::format("apply: {} of {} bytes of the delta are covered, {} bytes are owed; {} clients",
                  s.arrived, s.delta, s.owed, s.clients);
  if (s.compared) line += fmt::format("; {} bytes outside the delta were compared", *s.compared);
  return line;
}

std::string prometheus_text(const JobStatus &s) {
  stats::Prometheus p;
  p.gauge("nbdkit_apply_delta_bytes", "Bytes in the delta.").sample(s.delta);
  p.gauge("nbdkit_apply_covered_bytes", "Bytes of the delta that have arrived.").sample(s.arrived);
  p.gauge("nbdkit_apply_owed_bytes", "Bytes of the delta that are not durable at the destination.")
      .sample(s.owed);
  p.gauge("nbdkit_apply_clients", "Connected clients that may write.").sample(s.clients);
  p.gauge("nbdkit_apply_failed",
          "1 if the run has failed: every request fails, and it must be run again.")
      .sample(s.failed ? 1 : 0);
  p.counter("nbdkit_apply_written_bytes_total", "Bytes that clients wrote in the delta.")
      .sample(s.written);
  p.counter("nbdkit_apply_zeroed_bytes_total", "Bytes that clients zeroed in the delta.")
      .sample(s.zeroed);
  p.counter("nbdkit_apply_dropped_bytes_total", "Bytes of requests outside the delta.")
      .sample(s.dropped);
  p.counter("nbdkit_apply_compared_bytes_total",
            "Bytes outside the delta that were compared with the source.")
      .sample(s.compared.value_or(0));
  return p.text();
}

}  // namespace apply

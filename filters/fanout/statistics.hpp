// SPDX-License-Identifier: BSD-3-Clause
//
// fanout-stats and the progress lines of all destinations.
#pragma once

#include <string>

#include "common/stats/stats_file.hpp"
#include "common/util/log.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/destination/destination.hpp"

namespace fanout {

// May be used from any thread. The lists must outlive it, and do not change.
class Statistics {
 public:
  Statistics(const std::string &path, const DestinationList &destinations,
             const CountersList &counters, const util::Log &log)
      : destinations_(destinations),
        log_(log),
        file_(
            "fanout-stats", path,
            [this, &counters] {
              for (const auto &d : destinations_) d->sample_counters();
              return prometheus_text(counters);
            },
            log) {}

  stats::StatsFile &file() { return file_; }
  void log_progress() {
    for (const auto &d : destinations_) {
      d->sample_counters();
      log_.info("{}", d->progress());
    }
  }

 private:
  const DestinationList &destinations_;
  const util::Log log_;
  stats::StatsFile file_;
};

}  // namespace fanout

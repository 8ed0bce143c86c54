// SPDX-License-Identifier: BSD-3-Clause
//
// The counters of all destinations as a file for Prometheus (its text format, as the textfile
// collector of node_exporter reads it).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/util/log.hpp"
#include "filters/fanout/counters.hpp"

namespace fanout {

using CountersList = std::vector<std::unique_ptr<Counters>>;

std::string prometheus_text(const CountersList &list);

// Without a path it does nothing. `list` must outlive it.
class StatsFile {
 public:
  StatsFile(std::string path, const CountersList &list, util::Log log)
      : path_(std::move(path)), list_(list), log_(std::move(log)) {}

  // Throws util::Error if the file cannot be written.
  void write();
  // write(), if the last one is two seconds ago. Any thread; a failure is a warning, given once.
  void write_if_due() noexcept;
  // The same, due or not.
  void write_anyway() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  void write_locked();
  void try_write_locked() noexcept;

  const std::string path_;
  const CountersList &list_;
  const util::Log log_;
  std::mutex lock_;  // protects what follows, and the file: one writes, the others need not wait
  Clock::time_point due_{};
  bool warned_ = false;
};

}  // namespace fanout

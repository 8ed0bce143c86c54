// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/stats_file.hpp"

#include <fmt/format.h>

#include <functional>
#include <string_view>

#include "common/util/file.hpp"

namespace fanout {

namespace {

constexpr auto interval = std::chrono::seconds(2);

// A label's value, as the text format wants it quoted.
std::string label(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string prometheus_text(const CountersList &list) {
  struct Metric {
    const char *name, *type, *help;
    std::atomic<uint64_t> Counters::*value;
  };
  static constexpr Metric metrics[] = {
      {"bytes_total", "counter", "Bytes of data written and acknowledged.", &Counters::bytes},
      {"zero_bytes_total", "counter", "Bytes zeroed and acknowledged.", &Counters::zero_bytes},
      {"requests_total", "counter", "Requests acknowledged.", &Counters::requests},
      {"in_flight", "gauge", "Requests at the server now.", &Counters::in_flight},
  };
  std::string out;
  for (const auto &metric : metrics) {
    out += fmt::format("# HELP nbdkit_fanout_{0} {1}\n# TYPE nbdkit_fanout_{0} {2}\n", metric.name,
                       metric.help, metric.type);
    for (const auto &counters : list) {
      out += fmt::format("nbdkit_fanout_{}{{destination=\"{}\"}} {}\n", metric.name,
                         label(counters->name), ((*counters).*metric.value).load());
    }
  }
  return out;
}

void StatsFile::write_locked() {
  due_ = Clock::now() + interval;
  util::replace_file(path_, prometheus_text(list_));
}

void StatsFile::try_write_locked() noexcept {
  try {
    write_locked();
  } catch (const std::exception &e) {
    if (!warned_) log_.warning("fanout-stats: {}", e.what());
    warned_ = true;
  }
}

void StatsFile::write() {
  if (path_.empty()) return;
  std::lock_guard guard(lock_);
  write_locked();
}

void StatsFile::write_if_due() noexcept {
  if (path_.empty()) return;
  std::unique_lock guard(lock_, std::try_to_lock);
  if (guard.owns_lock() && Clock::now() >= due_) try_write_locked();
}

void StatsFile::write_anyway() noexcept {
  if (path_.empty()) return;
  std::lock_guard guard(lock_);
  try_write_locked();
}

}  // namespace fanout

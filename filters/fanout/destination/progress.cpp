// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/progress.hpp"

#include <fmt/format.h>

namespace fanout {

namespace {

using Clock = DestinationData::Clock;
using State = DestinationData::State;

const char *to_string(State state) {
  switch (state) {
    case State::waiting:
      return "waiting";
    case State::connecting:
      return "connecting";
    case State::live:
      return "live";
    case State::behind:
      return "behind";
    case State::detached:
      return "detached";
    case State::failed:
      return "failed";
  }
  return "";
}

}  // namespace

void reset_progress(DestinationData &d) {
  d.start = {Clock::now(), d.counters.bytes, d.counters.zero_bytes, d.counters.requests,
             d.counters.retries};
  d.sample.time = d.start.time;
  d.sample.bytes = d.start.bytes + d.start.zero_bytes;
}

void sample_counters(DestinationData &d) {
  d.counters.owed = d.ledger.owed_bytes();
  d.counters.in_sync = d.state.connected() && d.counters.owed == 0 ? 1 : 0;
  const auto now = Clock::now();
  const double seconds = seconds_of(now - d.sample.time);
  if (seconds < 1) return;
  const uint64_t bytes = d.counters.bytes + d.counters.zero_bytes;
  d.sample.bytes_per_second =
      static_cast<uint64_t>(static_cast<double>(bytes - d.sample.bytes) / seconds);
  d.sample.bytes = bytes;
  d.sample.time = now;
}

std::string progress_line(const DestinationData &d) {
  return fmt::format(
      "{}: {}, {} bytes behind; {} bytes in {} requests, {} in flight, {} retries, {:.1f} MB/s",
      d.name(), to_string(d.state.state()), d.ledger.owed_bytes(),
      d.counters.bytes + d.counters.zero_bytes, d.counters.requests.load(),
      d.counters.in_flight.load(), d.counters.retries.load(),
      static_cast<double>(d.sample.bytes_per_second) / 1e6);
}

std::string totals_line(const DestinationData &d) {
  const double seconds = seconds_of(Clock::now() - d.start.time);
  const uint64_t bytes = d.counters.bytes - d.start.bytes;
  return fmt::format(
      "{} bytes written and {} zeroed in {} requests, {:.1f} s, {:.1f} MiB/s; {}, {} retries",
      bytes, d.counters.zero_bytes - d.start.zero_bytes, d.counters.requests - d.start.requests,
      seconds, seconds > 0 ? static_cast<double>(bytes) / 1048576 / seconds : 0, d.owed_text(),
      d.counters.retries - d.start.retries);
}

}  // namespace fanout

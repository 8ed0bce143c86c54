// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/failures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

namespace fanout {

namespace {

// A retry would get the same answer.
bool is_final(int errnum) {
  return errnum == ENOSPC || errnum == EPERM || errnum == EROFS || errnum == EDQUOT;
}

}  // namespace

void on_failure(DestinationData &d, const nbd::Failure &failure) {
  if (d.stopping && failure.errnum == ECANCELED) return;  // by close()
  const auto now = DestinationData::Clock::now();
  d.reason = failure.what;
  // A client would take ESHUTDOWN for the end of nbdkit.
  d.errnum = failure.errnum == ESHUTDOWN ? EIO : failure.errnum;
  const auto before = d.state.state();
  d.pass_failed = true;
  d.converging = false;
  if (is_connection_lost(failure.errnum)) {
    if (!d.connection) return;
    drop_connection(d);
    d.state.connection_lost(now);
  } else if (is_final(failure.errnum)) {
    d.state.refused(now);
  } else {
    d.state.request_failed(now);
  }
  if (before == d.state.state() || check_given_up(d)) return;
  d.note_reason(util::Level::warning,
                fmt::format("{}; {}, trying again in {:g} s", d.reason, d.owed_text(),
                            std::max(0.0, std::round(seconds_of(d.state.due() - now) * 10) / 10)));
}

bool check_given_up(DestinationData &d) {
  if (!d.state.given_up()) return false;
  drop_connection(d);
  if (d.state.state() == DestinationData::State::failed) {
    d.note(util::Level::info, d.reason + ": failed");
    d.failed = true;
    return true;
  }
  const bool known = d.reason == d.said;
  const bool told = std::exchange(d.told_detached, true);
  std::string text = "detached, the other destinations continue; " + d.owed_text();
  if (d.state.due() != DestinationData::Clock::time_point::max()) {
    text += fmt::format(", trying again every {:g} s", seconds_of(d.settings.policy.retry_max));
  }
  if (!known || told) text += ": " + d.reason;
  d.note(known && told ? util::Level::info : util::Level::error, std::move(text));
  d.said = d.reason;
  return true;
}

void note_loss(DestinationData &d) {
  ++d.losses;
  d.unsaved = true;
}

void note_failed_syncs(DestinationData &d) {
  if (!d.connection) return;
  const uint64_t failed = d.connection->failed_syncs();
  if (failed == d.syncs_noted) return;
  d.syncs_noted = failed;
  d.ledger.lost();
  note_loss(d);
}

void drop_connection(DestinationData &d) {
  if (!d.connection) return;
  d.dropped.push_back(std::move(d.connection));
  d.connection.reset();
  while (auto write = d.write_buffers.next()) {
    d.ledger.end(write->id, false, false);
    d.write_buffers.recycle(std::move(write->data));
  }
  d.write_buffers.free_spare();
  d.ledger.lost();
  d.converging = false;
  if (!d.ledger.at_risk().empty()) note_loss(d);
  d.changed.notify_all();
}

}  // namespace fanout

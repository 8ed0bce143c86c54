// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/saving.hpp"

#include <fmt/format.h>

#include "common/util/error.hpp"
#include "filters/fanout/destination/failures.hpp"
#include "filters/fanout/destination/requests.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;
using State = DestinationData::State;

constexpr auto save_interval = std::chrono::seconds(5);

}  // namespace

bool flush(DestinationData &d) {
  const bool behind = d.state.state() == State::behind;
  PendingFlush pending(d);
  bool succeeded = false;
  {
    DestinationUnlock unlock(d);
    pending.send();
    pending.wait();
    succeeded = pending.end();
  }
  if (!succeeded && behind && !d.stopping && d.state.connected()) {
    d.state.pass_ended(Clock::now(), true);  // a pause before the next attempt
    check_given_up(d);
  }
  return succeeded && d.state.connected();
}

void save(DestinationData &d) {
  d.save_due = Clock::now() + save_interval;
  if (!d.ledger.flushed() && !flush(d)) return;
  if (d.state.state() == State::live || d.ledger.durable()) d.unsaved = false;
  std::string error;
  {
    DestinationUnlock unlock(d);
    error = d.owed_file.reset_to_regions([&d] {
      util::MutexLock lock(d.mutex);
      return d.state.state() == State::live ? d.ledger.missing() : d.ledger.at_risk();
    });
  }
  if (!error.empty()) {
    d.note(util::Level::warning,
           error + ": the state file stays as it was, and owes more than necessary");
  }
}

void save_at_risk(DestinationData &d) {
  d.at_risk_unsaved = false;
  d.unsaved = true;
  if (!d.owed_file.used() || !d.open) return;
  const DirtyMap map = d.ledger.at_risk();
  DestinationUnlock unlock(d);
  try {
    d.owed_file.claim(map);
  } catch (const util::Error &e) {
    d.environment.log.error("{}: {}: what the destination owes is not saved", d.name(), e.what());
  }
}

std::string save_at_end(DestinationData &d) {
  if (!d.owed_file.used()) {
    return "not saved, because fanout-state is not set: the destination needs a full copy";
  }
  try {
    d.owed_file.reset_to_blocks([&d] {
      util::MutexLock lock(d.mutex);
      return d.ledger.at_risk();
    });
  } catch (const util::Error &e) {
    return fmt::format("{}; {} owes them, and perhaps more", e.what(), d.owed_file.path());
  }
  DestinationLock lock(d);
  d.unsaved = false;
  return fmt::format("saved in {}: run it again with the same fanout-state to have them copied",
                     d.owed_file.path());
}

}  // namespace fanout

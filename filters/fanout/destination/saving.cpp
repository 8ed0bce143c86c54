// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/saving.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "filters/fanout/destination/failures.hpp"
#include "filters/fanout/destination/requests.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;
using State = DestinationData::State;

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
  d.save_due = Clock::now() + d.settings.save_interval;
  if (!d.ledger.flushed() && !flush(d)) return;
  const DirtyMap recent = std::exchange(d.recent, {});
  if (recent.empty() && d.ledger.at_risk().empty()) d.unsaved = false;
  std::string error;
  bool owes = true;  // the file as it is
  {
    DestinationUnlock unlock(d);
    auto needed = [&d, &recent] {
      util::MutexLock lock(d.mutex);
      DirtyMap map = d.ledger.at_risk();
      map.add(recent);
      return map;
    };
    error = d.owed_file.reset_to_regions(needed);
    if (!error.empty()) owes = d.owed_file.owes(needed());
  }
  if (error.empty()) return d.told_unsaved.reset();
  if (std::exchange(d.told_unsaved, owes) == owes) return;
  d.note(util::Level::warning,
         fmt::format("{}: {} stays as it was, and {}", error, d.owed_file.path(),
                     owes ? "owes more than necessary" : "does not owe all that it must"));
}

void claim_losses(DestinationData &d) {
  uint64_t losses = 0;
  DirtyMap map;
  {
    DestinationLock lock(d);
    losses = d.losses;
    map = d.ledger.at_risk();
  }
  REPLICATE_SYNC_POINT("fanout.loss_not_saved");
  try {
    if (!map.empty()) d.owed_file.claim(map);
  } catch (const util::Error &e) {
    std::string text = fmt::format(
        "{}: {} cannot be written, so it does not owe what this destination may have lost: {}; "
        "make "
        "its directory writable, or make room there",
        d.name(), d.owed_file.path(), e.what());
    DestinationLock lock(d);
    d.loss_failure = {e.errnum(), std::move(text)};
    return;
  }
  DestinationLock lock(d);
  d.losses_saved = std::max(d.losses_saved, losses);
  d.losses_due.reset();
}

void save_at_risk(DestinationData &d) {
  uint64_t wanted = 0;
  {
    DestinationLock lock(d);
    wanted = d.losses;
    if (d.losses_saved == d.losses) return;
    if (!d.owed_file.used() || !d.open) return;
  }
  d.loss_saves.run();
  DestinationLock lock(d);
  if (d.losses_saved < wanted) throw util::Error(d.loss_failure.first, d.loss_failure.second);
}

bool save_at_risk_if_due(DestinationData &d) {
  if (!d.owed_file.used() || d.losses_saved == d.losses ||
      (d.losses_due && Clock::now() < *d.losses_due))
    return false;
  const bool logged = d.losses_due.has_value();
  std::string error;
  {
    DestinationUnlock unlock(d);
    try {
      save_at_risk(d);
    } catch (const util::Error &e) {
      error = e.what();
    }
  }
  if (error.empty()) return true;
  d.losses_due = Clock::now() + d.settings.save_interval;
  // Not a note: the text has the name already.
  if (!logged) {
    DestinationUnlock unlock(d);
    d.environment.log.error("{}", error);
  }
  return true;
}

std::string save_at_end(DestinationData &d) {
  if (!d.owed_file.used()) {
    return "not saved, because fanout-state is not set: the destination needs a full copy";
  }
  auto at_risk = [&d] {
    util::MutexLock lock(d.mutex);
    return d.ledger.at_risk();
  };
  try {
    d.owed_file.reset_to_blocks(at_risk);
  } catch (const util::Error &e) {
    if (d.owed_file.owes(at_risk())) {
      return fmt::format("{}; {} owes them, and perhaps more", e.what(), d.owed_file.path());
    }
    return fmt::format(
        "{}; {} does not owe all of them: the destination needs a full copy (remove the file, and "
        "give fanout-new=owed)",
        e.what(), d.owed_file.path());
  }
  DestinationLock lock(d);
  d.unsaved = false;
  d.losses_saved = d.losses;
  return fmt::format("saved in {}: run it again with the same fanout-state to have them copied",
                     d.owed_file.path());
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// The thread does one step after the other. Each step is called with the lock held, and releases it
// for what takes long; so a step checks the state again after that, or ends.
#include "filters/fanout/destination/runner.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/priority.hpp"
#include "filters/fanout/destination/connecting.hpp"
#include "filters/fanout/destination/copy_pass.hpp"
#include "filters/fanout/destination/failures.hpp"
#include "filters/fanout/destination/saving.hpp"
#include "filters/fanout/destination/spot_check.hpp"
#include "filters/fanout/destination/verification.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;
using State = DestinationData::State;

Clock::time_point next_wakeup(const DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  constexpr auto longest_sleep = std::chrono::seconds(2);  // then a dead connection is noticed
  const auto now = Clock::now();
  const auto latest = now + longest_sleep;
  const auto due = d.state.due();
  return due > now ? std::min(due, latest) : latest;
}

// Everything that clients have written has arrived.
bool step_draining(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  if (!d.ledger.flushed()) {
    flush(d);
    return true;
  }
  if (!d.ledger.durable()) return false;
  if (!d.relied_on && d.modified) {
    d.relied_on = true;
    // fanout-verify=100 finds, and copies, whatever differs.
    d.spot_check_due = d.settings.spot_check && d.settings.verify < 1;
    return true;
  }
  if (!d.verified && d.environment.primary.any()) {
    verify(d);
    return true;
  }
  d.state.finish();
  drop_connection(d);
  d.losses_saved = d.losses;  // nothing was lost
  return true;
}

bool step_connected(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  if (d.spot_check_due && d.environment.primary.any()) {
    spot_check(d);
    return true;
  }
  const bool behind = d.state.state() == State::behind;
  if (behind && !d.async() && d.ledger.dirty_blocks() <= d.converging_limit()) {
    d.converging = true;
  }
  if (d.owed_file.used() && d.unsaved && Clock::now() >= d.save_due) {
    save(d);
    return true;
  }
  if (behind && (d.ledger.anything_dirty() || !d.write_buffers.empty())) {
    if (d.write_buffers.empty() && !d.environment.primary.any()) return false;
    copy_pass(d);
    return true;
  }
  if (!d.ledger.settled()) return false;
  if (behind && !d.async()) {
    d.state.caught_up();
    d.converging = false;
    d.note(util::Level::info, "has caught up");
    d.save_due = Clock::now();
    d.changed.notify_all();
    return true;
  }
  return d.draining && step_draining(d);
}

// False if there is nothing to do until something changes.
bool step(DestinationData &d) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  if (d.draining && d.verified && d.state.state() == State::waiting && !d.state.finished() &&
      d.ledger.durable()) {
    d.state.finish();  // it had no slot, and needs none
    DestinationUnlock unlock(d);
    d.environment.slots.withdraw(d.place);
    d.environment.ended();
    return true;
  }
  if (!update_slot(d)) return false;
  if (d.state.next(Clock::now()) == DestinationState::Action::connect) {
    connect_again(d);
    return true;
  }
  return d.state.connected() && !d.state.pausing(Clock::now()) && step_connected(d);
}

}  // namespace

void run_destination(DestinationData &d) {
  if (d.async()) util::give_way();
  DestinationLock lock(d);
  while (!d.stopping) {
    if (d.connection && d.connection->dead()) {
      on_failure(d, {ENOTCONN, "cannot reach the server: the connection was lost"});
    }
    if (save_at_risk_if_due(d)) continue;
    if (!step(d) && !d.stopping) {
      d.write_buffers.free_spare();
      if (d.notes.empty()) {
        lock.wait_until(next_wakeup(d));
      } else {
        DestinationUnlock unlock(d);  // logs them
      }
    }
    if (!d.dropped.empty()) {
      auto dropped = std::exchange(d.dropped, {});
      DestinationUnlock unlock(d);
      dropped.clear();
    }
  }
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/connecting.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "filters/fanout/destination/failures.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;

void check_fits(const DestinationData &d, const nbd::Info &info)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  const uint64_t primary_size = d.ledger.size();
  if (info.size < primary_size) {
    util::fail(EINVAL,
               "{}: the export has {} bytes, less than the primary's {}: make it at least as large",
               d.name(), info.size, primary_size);
  }
  if (primary_size % info.minimum_block != 0) {
    util::fail(EINVAL,
               "{}: the server's minimum block size is {} bytes, and the size of the primary, {} "
               "bytes, is not a multiple of it",
               d.name(), info.minimum_block, primary_size);
  }
}

void on_connected(DestinationData &d, std::unique_ptr<Target> target)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  d.said.clear();
  d.told_detached = false;
  d.info = target->info();
  const size_t connections = target->connections();
  d.connection = std::make_shared<DestinationConnection>(d.settings, std::move(target), d.counters);
  d.syncs_noted = 0;
  d.state.connected_now(Clock::now(), !d.ledger.settled());
  d.spot_check_due = d.relied_on && d.settings.spot_check;
  d.save_due = Clock::now() + d.settings.first_save;
  const nbd::Info &info = *d.info;
  auto can = [](bool yes) { return yes ? "can" : "cannot"; };
  d.note(util::Level::info,
         fmt::format(
             "connected by {} connection{}, {}: {} bytes, requests of at most {}; the server {} "
             "flush, {} FUA, {} zero; {}",
             connections, connections == 1 ? "" : "s", d.async() ? "async" : "sync", info.size,
             info.maximum_block, can(info.can_flush), can(info.can_fua), can(info.can_zero),
             d.owed_text()));
  if (!info.can_flush && !std::exchange(d.told_no_flush, true)) {
    d.note(util::Level::warning,
           "the server does not support flush: the filter cannot know when data is durable there");
  }
}

// It is there, but cannot be used; a retry would find the same.
bool is_final(const util::Error &error, bool connected) {
  return connected || error.errnum() == EROFS;
}

void connect_failed(DestinationData &d, const util::Error &error, bool final)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  d.reason = d.without_name(error.what());
  d.errnum = EIO;  // an errno of connect(2) would mean something else to an NBD client
  if (final) {
    d.info.reset();  // clients need not keep to what it can do
    d.state.refused(Clock::now());
  } else {
    d.state.connect_failed(Clock::now());
  }
}

}  // namespace

bool update_slot(DestinationData &d) {
  if (d.has_slot && !d.state.has_slot()) {
    d.has_slot = false;
    DestinationUnlock unlock(d);
    d.environment.slots.give_back();
    d.environment.ended();
  }
  if (d.state.next(Clock::now()) == DestinationState::Action::take_slot) {
    if (!d.has_slot && d.environment.slots.take(d.place)) {
      d.has_slot = true;
      d.last_try = false;
      d.state.slot_taken(Clock::now());
    }
  }
  return d.has_slot;
}

void connect_first(DestinationData &d) {
  {
    DestinationLock lock(d);
    if (!d.has_slot) return;
  }
  std::unique_ptr<Target> target;
  try {
    target = d.environment.connect(d.settings);
    DestinationLock lock(d);
    check_fits(d, target->info());
    on_connected(d, std::move(target));
  } catch (const util::Error &e) {
    if (!d.settings.policy.detach) throw;
    DestinationLock lock(d);
    ++d.counters.retries;
    connect_failed(d, e, is_final(e, target != nullptr));
    if (!check_given_up(d))
      d.note_reason(util::Level::warning, d.reason + ": continuing without it");
  }
}

void connect_again(DestinationData &d) {
  if (!d.reason.empty())
    ++d.counters.retries;  // else it is the first attempt: it had no slot before
  std::unique_ptr<Target> target;
  std::optional<util::Error> error;
  {
    DestinationUnlock unlock(d);
    try {
      target = d.environment.connect(d.settings);
    } catch (const util::Error &e) {
      error = e;
    } catch (const std::exception &e) {
      error = util::Error(EIO, e.what());
    }
  }
  if (target) {
    try {
      check_fits(d, target->info());
      return on_connected(d, std::move(target));
    } catch (const util::Error &e) {
      error = e;
    }
  }
  connect_failed(d, *error, is_final(*error, target != nullptr));
  const bool given_up = check_given_up(d);
  if (!given_up) d.note(util::Level::info, d.reason);
  DestinationUnlock unlock(d);
  if (given_up) d.environment.ended();
  target.reset();  // waits for its threads
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/destination.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "filters/fanout/destination/connecting.hpp"
#include "filters/fanout/destination/failures.hpp"
#include "filters/fanout/destination/progress.hpp"
#include "filters/fanout/destination/runner.hpp"
#include "filters/fanout/destination/saving.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;
using State = DestinationData::State;

}  // namespace

Destination::Destination(size_t place, DestinationSettings settings,
                         const std::string &state_directory, Counters &counters,
                         Environment environment)
    : data_(place, std::move(settings), state_directory, counters, std::move(environment)) {}

Destination::~Destination() {
  close();
}

void Destination::open(uint64_t primary_size, const std::string &export_name) {
  DestinationData &d = data_;
  const bool known = d.owed_file.found() || d.settings.new_owes_all;
  auto owed = d.owed_file.open(primary_size, export_name);
  DestinationLock lock(d);
  d.relied_on = d.relied_on || known;
  if (d.ledger.size() != primary_size) {
    if (!d.ledger.durable()) {
      util::fail(EINVAL, "{}: the primary had {} bytes, and now has {}: restart nbdkit", name(),
                 d.ledger.size(), primary_size);
    }
    if (primary_size > DirtyMap::largest_disk) {
      util::fail(EFBIG, "fanout: the primary has {} bytes: the largest supported size is {}",
                 primary_size, DirtyMap::largest_disk);
    }
    d.ledger.set_size(primary_size);
  }
  for (const Range &range : owed) {
    d.ledger.owe(range);
    d.unsaved = true;
  }
  if (d.unsaved) d.note(util::Level::info, d.owed_text() + ", from an earlier run");
  d.open = true;
  d.failed = d.draining = d.converging = d.stopping = d.pass_failed = d.modified = false;
  reset_progress(d);
  d.reason.clear();
  d.state.restart(Clock::now());
  if (!update_slot(d)) d.note(util::Level::info, "waits for its turn (fanout-active)");
}

void Destination::connect_first() {
  fanout::connect_first(data_);
}

void Destination::start() {
  thread_ = std::thread([this] { run_destination(data_); });
}

void Destination::drain() {
  DestinationLock lock(data_);
  data_.draining = true;
  data_.verified = data_.settings.verify == 0;
  data_.last_try =
      data_.state.state() == State::detached && data_.state.due() != Clock::time_point::max();
  data_.state.last_try(Clock::now());
  data_.changed.notify_all();
}

void Destination::resume() {
  DestinationLock lock(data_);
  data_.draining = false;
  if (data_.state.finished()) data_.state.restart(Clock::now());
  data_.changed.notify_all();
}

bool Destination::at_end() const {
  DestinationLock lock(data_);
  return data_.state.finished() || (data_.state.given_up() && !data_.last_try);
}

bool Destination::has_much_to_do() const {
  DestinationLock lock(data_);
  if (data_.state.state() == State::failed) return false;
  return !data_.ledger.settled() || data_.settings.verify > 0 || !data_.state.connected();
}

// Requests that wait for fanout-rate would hold up the thread, and the end of the server.
void Destination::stop() {
  std::shared_ptr<DestinationConnection> connection;
  {
    DestinationLock lock(data_);
    data_.stopping = true;
    data_.converging = false;
    connection = data_.connection;
    data_.changed.notify_all();
  }
  if (connection) connection->cancel_waiting();
}

void Destination::close() {
  DestinationData &d = data_;
  stop();
  if (thread_.joinable()) thread_.join();
  bool had_slot = false, to_save = false, durable = false, verified = false;
  std::vector<std::shared_ptr<DestinationConnection>> dropped;
  {
    DestinationLock lock(d);
    if (!std::exchange(d.open, false)) return;
    drop_connection(d);
    d.state.finish();
    had_slot = std::exchange(d.has_slot, false);
    durable = d.ledger.durable();
    verified = d.verified || !d.draining;
    to_save = d.modified || d.unsaved;
    dropped = std::exchange(d.dropped, {});
    d.note(util::Level::info, totals_line(d));
  }
  dropped.clear();  // waits for their requests
  if (had_slot) d.environment.slots.give_back();
  d.environment.slots.withdraw(d.place);
  const std::string saved = to_save ? save_at_end(d) : "";
  if (durable && verified) return;
  DestinationLock lock(d);
  const std::string reason = d.reason.empty() ? "" : d.reason + "; ";
  d.note(util::Level::error,
         durable ? reason + "it was not read back and compared to the end (fanout-verify)"
                 : fmt::format("{}{}; {}", reason, d.owed_text(), saved));
}

std::optional<nbd::Info> Destination::info() const {
  DestinationLock lock(data_);
  return data_.info;
}

void Destination::set_info(const nbd::Info &info) {
  DestinationLock lock(data_);
  data_.info = info;
}

void Destination::is_absent(const util::Error &error) {
  DestinationLock lock(data_);
  data_.said = data_.without_name(error.what());
}

std::unique_ptr<PendingChange> Destination::begin_change(const Change &change) {
  auto pending = std::make_unique<PendingChange>(data_, change);
  pending->begin();
  return pending;
}

std::unique_ptr<PendingFlush> Destination::begin_flush() {
  return fanout::begin_flush(data_);
}

void Destination::save_at_risk() {
  fanout::save_at_risk(data_);
}

void Destination::check() const {
  if (!data_.failed) return;
  DestinationLock lock(data_);
  util::fail(data_.errnum,
             "{}: {}: this destination is no longer a copy of the primary; check that server, then "
             "run the copy again",
             name(), data_.reason);
}

void Destination::wake() {
  DestinationLock lock(data_);
  data_.changed.notify_all();
}

void Destination::sample_counters() {
  DestinationLock lock(data_);
  fanout::sample_counters(data_);
}

std::string Destination::progress() const {
  DestinationLock lock(data_);
  return progress_line(data_);
}

}  // namespace fanout

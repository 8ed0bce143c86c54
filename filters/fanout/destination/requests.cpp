// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/requests.hpp"

#include <algorithm>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "filters/fanout/destination/failures.hpp"
#include "filters/fanout/destination/saving.hpp"

namespace fanout {

namespace {

using State = DestinationData::State;

// A request that is not made of the server's blocks is deferred: copies are.
bool may_send(const DestinationData &d, Range range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  return d.connection && !d.async() && !d.connection->dead() &&
         (range.offset | range.length) % d.connection->info().minimum_block == 0;
}

}  // namespace

PendingChange::~PendingChange() {
  requests_.wait();
  if (begun_ && !sent_) withdraw();
  if (!begun_) return;
  try {
    end(false);
  } catch (const std::exception &e) {
    d_.environment.log.error("{}: {}", d_.name(), e.what());
  }
}

void PendingChange::begin() {
  const Range range = change_.range;
  {
    DestinationLock lock(d_);
    d_.modified = true;
    if (d_.converging && may_send(d_, range)) {
      while (d_.converging && !d_.ledger.may_go_direct(range)) lock.wait();
    }
    const bool direct = may_send(d_, range) && (d_.state.state() == State::live || d_.converging) &&
                        d_.ledger.may_go_direct(range);
    id_ = d_.ledger.begin(range, direct ? Ledger::Route::direct : Ledger::Route::deferred);
    begun_ = true;
    if (direct) connection_ = d_.connection;
    if (!direct || d_.owed_file.used()) d_.unsaved = true;
    if (d_.owed_file.used()) d_.recent.add(d_.ledger.clip(range));
  }
  d_.owed_file.claim(range);
}

void PendingChange::send() {
  sent_ = true;
  if (!connection_) return;
  if (change_.data.empty()) {
    connection_->zero(requests_, change_.range, change_.flags, change_.fua);
  } else {
    connection_->write(requests_, change_.data, change_.range.offset, change_.fua);
  }
}

void PendingChange::wait() {
  requests_.wait();
  if (connection_ && change_.fua) connection_->wait_for_syncs();
}

void PendingChange::withdraw() {
  DestinationLock lock(d_);
  d_.ledger.withdraw(id_);
  begun_ = false;
  d_.changed.notify_all();
}

void PendingChange::flush_without_fua() {
  if (connection_ && !connection_->info().can_fua) connection_->flush(requests_);
}

// An async destination that has time keeps a copy of what was written, and sends it later: that
// costs less than to read it from the primary. In the ledger the change becomes a copy that is
// under way.
bool PendingChange::keep_copy() {
  if (!d_.async()) return false;
  WriteBuffers::Buffer buffer;
  {
    DestinationLock lock(d_);
    if (d_.stopping || !d_.connection || !d_.state.connected() ||
        !d_.write_buffers.accepts(change_.data.size())) {
      return false;
    }
    buffer = d_.write_buffers.take(change_.data.size());
    if (!d_.ledger.become_copy(id_)) {
      d_.write_buffers.recycle(std::move(buffer));
      return false;
    }
    begun_ = false;
  }
  std::ranges::copy(change_.data, buffer.begin());
  DestinationLock lock(d_);
  if (d_.stopping || !d_.connection) {
    d_.ledger.end(id_, false, false);
    d_.write_buffers.recycle(std::move(buffer));
  } else {
    d_.write_buffers.add({id_, std::move(buffer)});
  }
  d_.state.fell_behind();
  d_.changed.notify_all();
  return true;
}

void PendingChange::end(bool primary_changed) {
  if (primary_changed && keep_copy()) return;
  bool arrived = false;
  {
    DestinationLock lock(d_);
    begun_ = false;
    const bool current = connection_ && connection_ == d_.connection;
    if (current) note_failed_syncs(d_);
    const bool answered = current && primary_changed && requests_.succeeded();
    arrived = d_.ledger.end(id_, answered, change_.fua);
    if (arrived) {
      d_.state.progress();
    } else {
      // The file owes a deferred change since begin().
      if (connection_) note_loss(d_);
      d_.unsaved = true;
      if (current && !requests_.succeeded()) on_failure(d_, *requests_.failure());
      if (!answered) d_.state.fell_behind();
    }
    d_.changed.notify_all();
  }
  if (connection_ && !arrived) save_at_risk(d_);
}

PendingFlush::PendingFlush(DestinationData &destination)
    : d_(destination),
      connection_(destination.connection),
      flush_(destination.ledger.begin_flush()) {}

void PendingFlush::wait() {
  requests_.wait();
  connection_->wait_for_syncs();
}

bool PendingFlush::end() {
  if (!requests_.succeeded()) REPLICATE_SYNC_POINT("fanout.flush_failed");
  DestinationLock lock(d_);
  const bool current = connection_ == d_.connection;
  if (current) note_failed_syncs(d_);
  const bool counts = d_.ledger.end_flush(flush_, requests_.succeeded());
  if (counts) {
    d_.state.progress();
  } else {
    note_loss(d_);
    if (!requests_.succeeded()) {
      if (current) on_failure(d_, *requests_.failure());
      d_.state.fell_behind();
    }
  }
  d_.changed.notify_all();
  return counts;
}

std::unique_ptr<PendingFlush> begin_flush(DestinationData &d) {
  DestinationLock lock(d);
  if (!d.connection || d.async()) return nullptr;
  if (d.state.state() != State::live && d.ledger.flushed()) return nullptr;
  return std::make_unique<PendingFlush>(d);
}

}  // namespace fanout

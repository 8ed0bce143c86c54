// SPDX-License-Identifier: BSD-3-Clause
//
// A destination's side of the clients' requests.
#include <algorithm>
#include <cerrno>

#include "filters/fanout/destination/destination.hpp"

namespace fanout {

Destination::Part::~Part() {
  if (over) return;
  try {
    destination.end(*this, false, false, {});
  } catch (const std::exception &e) {
    destination.means_.log.error("{}: {}", destination.name(), e.what());
  }
}

// While little is left to be copied a sync destination takes part again in what is clean; who meets
// the rest waits for it, so that a block that is written all the time is caught up as well.
std::unique_ptr<Destination::Part> Destination::begin(Range range) {
  auto part = std::make_unique<Part>(*this, range);
  {
    Guard guard(*this);
    touched_ = true;
    if (merging_ && may_send(range)) {
      changed_.wait(guard.held(), [&] { return !merging_ || ledger_.may_go_direct(range); });
    }
    bool direct = may_send(range) && (machine_.state() == State::live || merging_) &&
                  ledger_.may_go_direct(range);
    part->id = ledger_.begin(range, direct ? Ledger::Way::direct : Ledger::Way::deferred);
    if (direct) {
      part->link = link_;
    } else {
      unsaved_ = true;
    }
  }
  if (!part->link) state_file_.claim(range);
  return part;
}

// A request that is not made of the server's blocks is made good by a copy, which is.
bool Destination::may_send(Range range) const {
  return link_ && !async() && !link_->dead() &&
         (range.offset | range.length) % link_->info().minimum_block == 0;
}

// An async destination that has time takes what was written along, and sends it later: a copy of it is
// cheaper than to read it from the primary. Its blocks stay claimed as those of a copy under way.
bool Destination::take_along(Part &part, std::span<const std::byte> data) {
  if (!async()) return false;
  Offers::Buffer buffer;
  {
    Guard guard(*this);
    if (stop_ || !link_ || !machine_.connected() || !offers_.wants(data.size())) return false;
    buffer = offers_.take(data.size());
    if (!ledger_.become_copy(part.id)) {
      offers_.recycle(std::move(buffer));
      return false;
    }
    part.over = true;
  }
  std::ranges::copy(data, buffer.begin());
  Guard guard(*this);
  if (stop_ || !link_) {
    ledger_.end(part.id, false, false);
    offers_.recycle(std::move(buffer));
  } else {
    offers_.add({part.id, std::move(buffer)});
  }
  machine_.owes();
  changed_.notify_all();
  return true;
}

void Destination::end(Part &part, bool primary_changed, bool durable,
                      std::span<const std::byte> data) {
  if (primary_changed && take_along(part, data)) return;
  bool arrived, insecure;
  {
    Guard guard(*this);
    part.over = true;
    bool current = part.link && part.link == link_;
    arrived = current && primary_changed && part.outcome.good();
    ledger_.end(part.id, arrived, durable);
    if (arrived) {
      machine_.progress();
    } else {
      unsaved_ = true;
      if (current && !part.outcome.good()) trouble(*part.outcome.failure());
      machine_.owes();
    }
    insecure = insecure_;
    changed_.notify_all();
  }
  if (arrived) return;
  state_file_.claim(part.range);
  if (insecure) {
    Guard guard(*this);
    secure(guard);
  }
}

std::unique_ptr<Destination::FlushPart> Destination::begin_flush() {
  Guard guard(*this);
  if (!link_ || machine_.state() != State::live) return nullptr;
  auto part = std::make_unique<FlushPart>();
  part->link = link_;
  part->flush = ledger_.begin_flush();
  return part;
}

void Destination::end_flush(FlushPart &part) {
  Guard guard(*this);
  bool current = part.link == link_;
  ledger_.end_flush(part.flush, part.outcome.good());
  if (part.outcome.good()) {
    machine_.progress();
  } else {
    unsaved_ = insecure_ = true;
    if (current) trouble(*part.outcome.failure());
    machine_.owes();
  }
  changed_.notify_all();
  if (insecure_) secure(guard);
}

void Destination::check() const {
  if (!failed_) return;
  Guard guard(*this);
  util::fail(
      errnum_,
      "{}: {}: this destination is no longer a copy of the primary; see to that server, then "
      "run the copy again",
      name(), reason_);
}

}  // namespace fanout

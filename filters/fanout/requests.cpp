// SPDX-License-Identifier: BSD-3-Clause
//
// A destination's side of the clients' requests.
#include <cerrno>

#include "filters/fanout/destination.hpp"

namespace fanout {

Destination::Part::~Part() {
  if (over) return;
  try {
    destination.end(*this, false, false);
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

void Destination::end(Part &part, bool primary_changed, bool durable) {
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

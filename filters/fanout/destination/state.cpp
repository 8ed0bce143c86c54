// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/state.hpp"

#include <algorithm>

namespace fanout {

DestinationState::Action DestinationState::next(Time now) const {
  if (now < due_ || refused_) return Action::none;
  switch (state_) {
    case State::waiting:
      return finished_ ? Action::none : Action::take_slot;
    case State::detached:
      return Action::take_slot;
    case State::connecting:
      return Action::connect;
    case State::behind:
      return Action::copy;
    case State::live:
    case State::failed:
      return Action::none;
  }
  return Action::none;
}

void DestinationState::restart(Time now) {
  state_ = State::waiting;
  finished_ = refused_ = false;
  connection_failures_ = failed_passes_ = 0;
  due_ = now;
}

void DestinationState::slot_taken(Time now) {
  // A detached destination has one attempt, not all of them again.
  if (state_ == State::detached) connection_failures_ = policy_.retries;
  state_ = State::connecting;
  finished_ = false;
  due_ = now;
}

void DestinationState::connected_now(Time now, bool owes) {
  state_ = owes || policy_.async ? State::behind : State::live;
  due_ = now;
}

void DestinationState::connection_lost(Time now) {
  if (!connected()) return;
  state_ = State::connecting;
  count_failure(now, connection_failures_);
}

void DestinationState::refused(Time now) {
  if (!has_slot()) return;
  refused_ = true;
  give_up(now);
}

void DestinationState::fell_behind() {
  if (state_ == State::live) state_ = State::behind;
}

// Requests that were under way at the same time count as one error: only the first finds the state
// live.
void DestinationState::request_failed(Time now) {
  if (state_ != State::live) return;
  state_ = State::behind;
  count_failure(now, failed_passes_);
}

void DestinationState::pass_ended(Time now, bool errors) {
  if (state_ != State::behind) return;
  if (errors) {
    count_failure(now, failed_passes_);
  } else {
    failed_passes_ = 0;
  }
}

void DestinationState::caught_up() {
  if (state_ == State::behind && !policy_.async) state_ = State::live;
}

void DestinationState::finish() {
  state_ = State::waiting;
  finished_ = true;
}

void DestinationState::last_try(Time now) {
  if (state_ == State::detached) due_ = now;
}

void DestinationState::count_failure(Time now, unsigned &count) {
  if (++count > policy_.retries) return give_up(now);
  auto pause = policy_.retry_delay;
  for (unsigned i = 1; i < count && pause < policy_.retry_max; ++i) pause *= 2;
  due_ = now + std::min(pause, policy_.retry_max);
}

void DestinationState::give_up(Time now) {
  state_ = policy_.detach ? State::detached : State::failed;
  failed_passes_ = 0;
  due_ = now + policy_.retry_max;
}

}  // namespace fanout

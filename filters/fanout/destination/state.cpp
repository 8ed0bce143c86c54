// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/state.hpp"

#include <algorithm>

namespace fanout {

Machine::Action Machine::next(Time now) const {
  if (now < due_ || refused_) return Action::none;
  switch (state_) {
    case State::waiting:
      return finished_ ? Action::none : Action::take_turn;
    case State::detached:
      return Action::take_turn;
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

void Machine::restart(Time now) {
  state_ = State::waiting;
  finished_ = refused_ = false;
  faults_ = bad_passes_ = 0;
  due_ = now;
}

void Machine::turn(Time now) {
  // What was given up has one try, not all of them again.
  if (state_ == State::detached) faults_ = policy_.retries;
  state_ = State::connecting;
  finished_ = false;
  due_ = now;
}

void Machine::connected_now(Time now, bool owes) {
  state_ = owes || policy_.async ? State::behind : State::live;
  due_ = now;
}

void Machine::lost(Time now) {
  if (!connected()) return;
  state_ = State::connecting;
  fault(now, faults_);
}

void Machine::refused(Time now) {
  if (!has_turn()) return;
  refused_ = true;
  give_up(now);
}

void Machine::owes() {
  if (state_ == State::live) state_ = State::behind;
}

// Those that were under way at the same time are one error: only the first of them finds it live.
void Machine::error(Time now) {
  if (state_ != State::live) return;
  state_ = State::behind;
  fault(now, bad_passes_);
}

void Machine::pass_ended(Time now, bool errors) {
  if (state_ != State::behind) return;
  if (errors) {
    fault(now, bad_passes_);
  } else {
    bad_passes_ = 0;
  }
}

void Machine::caught_up() {
  if (state_ == State::behind && !policy_.async) state_ = State::live;
}

void Machine::finish() {
  state_ = State::waiting;
  finished_ = true;
}

void Machine::last_try(Time now) {
  if (state_ == State::detached) due_ = now;
}

void Machine::fault(Time now, unsigned &count) {
  if (++count > policy_.retries) return give_up(now);
  auto pause = policy_.retry_delay;
  for (unsigned i = 1; i < count && pause < policy_.retry_max; ++i) pause *= 2;
  due_ = now + std::min(pause, policy_.retry_max);
}

void Machine::give_up(Time now) {
  state_ = policy_.detach ? State::detached : State::failed;
  bad_passes_ = 0;
  due_ = now + policy_.retry_max;
}

const char *to_string(Machine::State state) {
  switch (state) {
    case Machine::State::waiting:
      return "waiting";
    case Machine::State::connecting:
      return "connecting";
    case Machine::State::live:
      return "live";
    case Machine::State::behind:
      return "behind";
    case Machine::State::detached:
      return "detached";
    case Machine::State::failed:
      return "failed";
  }
  return "";
}

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
//
// The state of a destination, and what its thread does next. It knows no network and no thread: it
// is told what has happened, and when. The diagram is in STATES.md.
#pragma once

#include <chrono>

#include "filters/fanout/settings.hpp"

namespace fanout {

// Not synchronised: the destination's lock protects it.
class DestinationState {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  enum class State {
    waiting,     // for a slot; or finished
    connecting,  // or pausing before the next attempt
    live,        // sync only: equal to the primary except for requests under way
    behind,      // connected, and not equal; an async destination always
    detached,    // given up for now: what it misses is recorded
    failed,      // given up: clients get an error
  };
  enum class Action { none, take_slot, connect, copy };

  explicit DestinationState(const DestinationPolicy &policy) : policy_(policy) {}

  State state() const { return state_; }
  bool has_slot() const {
    return state_ == State::connecting || state_ == State::live || state_ == State::behind;
  }
  bool connected() const { return state_ == State::live || state_ == State::behind; }
  bool given_up() const { return state_ == State::detached || state_ == State::failed; }
  bool finished() const { return state_ == State::waiting && finished_; }
  bool pausing(Time now) const { return has_slot() && now < due_; }

  // What is to be done now; and when to ask again if nothing happens until then.
  Action next(Time now) const;
  Time due() const { return state_ == State::failed || refused_ ? Time::max() : due_; }

  // Events. Those with a time may start a pause.
  void restart(Time now);  // a client has come: it wants a slot
  void slot_taken(Time now);
  void connected_now(Time now, bool owes);
  void connect_failed(Time now) { count_failure(now, connection_failures_); }
  void connection_lost(Time now);
  void refused(Time now);         // a retry cannot help
  void fell_behind();             // a range became dirty
  void request_failed(Time now);  // the server answered a client's request with an error
  void progress() { connection_failures_ = 0; }
  void pass_ended(Time now, bool errors);  // every dirty block has been tried once
  void caught_up();
  void finish();            // nothing is owed, and no client is there: the slot is given back
  void last_try(Time now);  // the clients have gone: a detached destination is tried once more

 private:
  void count_failure(Time now, unsigned &count);
  void give_up(Time now);

  const DestinationPolicy policy_;
  State state_ = State::waiting;
  Time due_{};
  bool finished_ = true;
  bool refused_ = false;
  unsigned connection_failures_ = 0;  // since the last progress
  unsigned failed_passes_ = 0;        // in a row
};

}  // namespace fanout

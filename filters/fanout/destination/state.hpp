// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination is at, and what is to be done about it next. It knows of no network and no
// thread: it is told what has happened, and when.
//
//            turn             connected                caught_up (sync)
//   waiting -----> connecting ---------> behind ------------------------> live
//      ^             ^   |                 |  ^                            |
//      | finish      |   | connect_failed  |  +------- owes, error --------+
//      |             |   v                 v
//   (any that has    |  again, after retry-delay, doubled each time; after `retries` in a row
//    a turn)         |   |                 |     without progress, or when refused:
//                    |   v                 v
//                    +- detached (every retry-max)   or   failed (until the next start)
#pragma once

#include <chrono>
#include <cstdint>

namespace fanout {

inline double seconds_of(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// Not synchronised: the destination's lock protects it.
class Machine {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;
  enum class State {
    waiting,     // for its turn, or through with everything
    connecting,  // or pausing before it tries again
    live,        // sync only: equal to the primary but for what is under way
    behind,      // connected, and not equal; an async one always
    detached,    // given up for now: what it misses is remembered
    failed,      // given up: clients are told
  };
  enum class Action { none, take_turn, connect, copy };

  struct Policy {
    bool async = false;
    bool detach = false;  // on error; else fail
    unsigned retries = 3;
    std::chrono::milliseconds retry_delay{1000};
    std::chrono::milliseconds retry_max{30'000};
  };

  explicit Machine(const Policy &policy) : policy_(policy) {}

  State state() const { return state_; }
  bool has_turn() const {
    return state_ == State::connecting || state_ == State::live || state_ == State::behind;
  }
  bool connected() const { return state_ == State::live || state_ == State::behind; }
  bool given_up() const { return state_ == State::detached || state_ == State::failed; }
  bool finished() const { return state_ == State::waiting && finished_; }
  bool pausing(Time now) const { return has_turn() && now < due_; }

  // What is to be done now; and when to ask again if nothing happens until then.
  Action next(Time now) const;
  Time due() const { return state_ == State::failed || refused_ ? Time::max() : due_; }

  // What has happened. Those that are told the time may make it pause.
  void restart(Time now);  // clients have come, or one is there again: it wants a turn
  void turn(Time now);
  void connected_now(Time now, bool owes);
  void connect_failed(Time now) { fault(now, faults_); }
  void lost(Time now);     // the connection
  void refused(Time now);  // it will not have the data however often it is asked: no retry
  void owes();             // a range became dirty
  void error(Time now);    // the server answered a client's request with an error
  void progress() { faults_ = 0; }
  void pass_ended(Time now, bool errors);  // all that was dirty has been tried once
  void caught_up();
  void finish();            // nothing is owed, and nothing more will come: gives its turn back
  void last_try(Time now);  // the clients have gone: one that is detached is tried once more

 private:
  void fault(Time now, unsigned &count);
  void give_up(Time now);

  const Policy policy_;
  State state_ = State::waiting;
  Time due_{};
  bool finished_ = true;
  bool refused_ = false;
  unsigned faults_ = 0;      // of the connection, without progress since
  unsigned bad_passes_ = 0;  // in a row
};

const char *to_string(Machine::State state);

}  // namespace fanout

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "filters/fanout/destination/state.hpp"

using fanout::DestinationPolicy;
using fanout::DestinationState;
using std::chrono::milliseconds;
using std::chrono::seconds;
using State = DestinationState::State;
using Action = DestinationState::Action;

namespace {

// A state and the time, which passes when the test says so.
struct Rig {
  explicit Rig(DestinationPolicy policy = {}) : state(policy) {
    state.restart(now);
    CHECK(state.next(now) == Action::take_slot);
    state.slot_taken(now);
    CHECK(state.next(now) == Action::connect);
  }
  // Waits for the next thing to be done; returns for how long, in seconds.
  double wait() {
    auto before = now;
    if (state.due() > now) now = state.due();
    return std::chrono::duration<double>(now - before).count();
  }
  DestinationState::Time now{seconds(1000)};
  DestinationState state;
};

DestinationPolicy detach(unsigned retries = 3) {
  DestinationPolicy policy;
  policy.detach = true;
  policy.retries = retries;
  policy.retry_max = seconds(60);
  return policy;
}

}  // namespace

TEST_CASE("initially it is finished, and nothing is to be done") {
  DestinationState state({});
  CHECK(state.state() == State::waiting);
  CHECK(state.finished());
  CHECK(state.next(DestinationState::Time(seconds(1))) == Action::none);
}

TEST_CASE("sync: live at once if nothing is owed, else when it has caught up") {
  Rig rig;
  rig.state.connected_now(rig.now, false);
  CHECK(rig.state.state() == State::live);
  CHECK(rig.state.next(rig.now) == Action::none);
  rig.state.fell_behind();
  CHECK(rig.state.state() == State::behind);
  CHECK(rig.state.next(rig.now) == Action::copy);
  rig.state.caught_up();
  CHECK(rig.state.state() == State::live);

  Rig late;
  late.state.connected_now(late.now, true);
  CHECK(late.state.state() == State::behind);
}

TEST_CASE("an async destination is never live") {
  DestinationPolicy policy;
  policy.async = true;
  Rig rig(policy);
  rig.state.connected_now(rig.now, false);
  CHECK(rig.state.state() == State::behind);
  rig.state.caught_up();
  CHECK(rig.state.state() == State::behind);
}

TEST_CASE("a lost connection is retried after 1, 2 and 4 seconds, then the state is failed") {
  Rig rig;
  rig.state.connected_now(rig.now, false);
  rig.state.connection_lost(rig.now);
  for (double pause : {1, 2, 4}) {
    CHECK(rig.state.state() == State::connecting);
    CHECK(rig.state.next(rig.now) == Action::none);
    CHECK(rig.state.pausing(rig.now));
    CHECK(rig.wait() == pause);
    CHECK(rig.state.next(rig.now) == Action::connect);
    rig.state.connect_failed(rig.now);
  }
  CHECK(rig.state.state() == State::failed);
  CHECK(!rig.state.has_slot());
  CHECK(rig.state.due() == DestinationState::Time::max());
  CHECK(rig.state.next(rig.now + seconds(100'000)) == Action::none);
  rig.state.restart(rig.now);
  CHECK(rig.state.next(rig.now) == Action::take_slot);
}

TEST_CASE("without retries the first loss is final") {
  DestinationPolicy policy;
  policy.retries = 0;
  Rig rig(policy);
  rig.state.connected_now(rig.now, false);
  rig.state.connection_lost(rig.now);
  CHECK(rig.state.state() == State::failed);
}

TEST_CASE("progress resets the retries, a connection alone does not") {
  Rig rig;
  rig.state.connected_now(rig.now, false);
  rig.state.connection_lost(rig.now);
  rig.wait();
  rig.state.connected_now(rig.now, true);
  rig.state.connection_lost(rig.now);
  CHECK(rig.wait() == 2);
  rig.state.connected_now(rig.now, true);
  rig.state.progress();
  rig.state.connection_lost(rig.now);
  CHECK(rig.wait() == 1);
}

TEST_CASE("no pause is longer than retry-max") {
  DestinationPolicy policy;
  policy.retries = 100;
  policy.retry_max = seconds(5);
  Rig rig(policy);
  std::vector<double> pauses;
  for (int i = 0; i < 50; ++i) {
    rig.state.connect_failed(rig.now);
    pauses.push_back(rig.wait());
  }
  CHECK(std::vector<double>(pauses.begin(), pauses.begin() + 5) ==
        std::vector<double>{1, 2, 4, 5, 5});
  CHECK(pauses.back() == 5);
}

TEST_CASE("detached: the slot is given back, one attempt every retry-max") {
  Rig rig(detach(1));
  rig.state.connect_failed(rig.now);
  rig.wait();
  rig.state.connect_failed(rig.now);
  CHECK(rig.state.state() == State::detached);
  CHECK(!rig.state.has_slot());
  for (int i = 0; i < 3; ++i) {
    CHECK(rig.state.next(rig.now) == Action::none);
    CHECK(rig.wait() == 60);
    CHECK(rig.state.next(rig.now) == Action::take_slot);
    rig.state.slot_taken(rig.now);
    CHECK(rig.state.next(rig.now) == Action::connect);
    rig.state.connect_failed(rig.now);
    CHECK(rig.state.state() == State::detached);
  }
  rig.wait();
  rig.state.slot_taken(rig.now);
  rig.state.connected_now(rig.now, true);
  rig.state.progress();
  rig.state.caught_up();
  CHECK(rig.state.state() == State::live);
  rig.state.connection_lost(rig.now);
  CHECK(rig.state.state() == State::connecting);
}

TEST_CASE("last_try: a detached destination is tried at once") {
  Rig rig(detach(0));
  rig.state.connect_failed(rig.now);
  CHECK(rig.state.next(rig.now) == Action::none);
  rig.state.last_try(rig.now);
  CHECK(rig.state.next(rig.now) == Action::take_slot);
}

TEST_CASE("refused is not retried") {
  Rig rig(detach());
  rig.state.connected_now(rig.now, false);
  rig.state.refused(rig.now);
  CHECK(rig.state.state() == State::detached);
  rig.state.last_try(rig.now);
  CHECK(rig.state.next(rig.now + seconds(100'000)) == Action::none);
  rig.state.restart(rig.now);
  CHECK(rig.state.next(rig.now) == Action::take_slot);

  Rig fails;
  fails.state.connected_now(fails.now, false);
  fails.state.refused(fails.now);
  CHECK(fails.state.state() == State::failed);
}

TEST_CASE("request errors: a pause, then passes, until too many fail in a row") {
  Rig rig;
  rig.state.connected_now(rig.now, false);
  // Requests that were under way at the same time are one error.
  for (int i = 0; i < 16; ++i) rig.state.request_failed(rig.now);
  CHECK(rig.state.state() == State::behind);
  CHECK(rig.state.next(rig.now) == Action::none);
  CHECK(rig.wait() == 1);
  rig.state.pass_ended(rig.now, true);
  CHECK(rig.wait() == 2);
  rig.state.pass_ended(rig.now, false);
  rig.state.pass_ended(rig.now, true);
  CHECK(rig.wait() == 1);
  rig.state.pass_ended(rig.now, true);
  rig.wait();
  rig.state.pass_ended(rig.now, true);
  CHECK(rig.wait() == 4);
  // What succeeds meanwhile does not hide that some of it fails.
  rig.state.progress();
  rig.state.pass_ended(rig.now, true);
  CHECK(rig.state.state() == State::failed);
}

TEST_CASE("events after it was given up change nothing") {
  Rig rig(detach(0));
  rig.state.connect_failed(rig.now);
  for (int i = 0; i < 2; ++i) {
    rig.state.connection_lost(rig.now);
    rig.state.request_failed(rig.now);
    rig.state.fell_behind();
    rig.state.refused(rig.now);
    rig.state.pass_ended(rig.now, true);
    rig.state.caught_up();
    CHECK(rig.state.state() == State::detached);
    CHECK(rig.state.due() == rig.now + seconds(60));
  }
}

TEST_CASE("finish: the slot is given back, until restart") {
  Rig rig;
  rig.state.connected_now(rig.now, false);
  rig.state.finish();
  CHECK(rig.state.finished());
  CHECK(!rig.state.has_slot());
  CHECK(rig.state.next(rig.now) == Action::none);
  rig.state.restart(rig.now);
  CHECK(!rig.state.finished());
  CHECK(rig.state.next(rig.now) == Action::take_slot);
}

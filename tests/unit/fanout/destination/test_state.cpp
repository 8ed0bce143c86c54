// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "filters/fanout/destination/state.hpp"

using fanout::Machine;
using std::chrono::milliseconds;
using std::chrono::seconds;
using State = Machine::State;
using Action = Machine::Action;

namespace {

// A machine and the time, which passes when the test says so.
struct Rig {
  explicit Rig(Machine::Policy policy = {}) : machine(policy) {
    machine.restart(now);
    CHECK(machine.next(now) == Action::take_turn);
    machine.turn(now);
    CHECK(machine.next(now) == Action::connect);
  }
  // Waits for the next thing to be done; returns for how long, in seconds.
  double wait() {
    auto before = now;
    if (machine.due() > now) now = machine.due();
    return std::chrono::duration<double>(now - before).count();
  }
  Machine::Time now{seconds(1000)};
  Machine machine;
};

Machine::Policy detach(unsigned retries = 3) {
  Machine::Policy policy;
  policy.detach = true;
  policy.retries = retries;
  policy.retry_max = seconds(60);
  return policy;
}

}  // namespace

TEST_CASE("nothing is done before clients come") {
  Machine machine({});
  CHECK(machine.state() == State::waiting);
  CHECK(machine.finished());
  CHECK(machine.next(Machine::Time(seconds(1))) == Action::none);
}

TEST_CASE("sync: live at once if nothing is owed, else when it has caught up") {
  Rig rig;
  rig.machine.connected_now(rig.now, false);
  CHECK(rig.machine.state() == State::live);
  CHECK(rig.machine.next(rig.now) == Action::none);
  rig.machine.owes();
  CHECK(rig.machine.state() == State::behind);
  CHECK(rig.machine.next(rig.now) == Action::copy);
  rig.machine.caught_up();
  CHECK(rig.machine.state() == State::live);

  Rig late;
  late.machine.connected_now(late.now, true);
  CHECK(late.machine.state() == State::behind);
}

TEST_CASE("async: never live") {
  Machine::Policy policy;
  policy.async = true;
  Rig rig(policy);
  rig.machine.connected_now(rig.now, false);
  CHECK(rig.machine.state() == State::behind);
  rig.machine.caught_up();
  CHECK(rig.machine.state() == State::behind);
}

TEST_CASE("a lost connection is tried again after 1, 2 and 4 seconds, then it has failed") {
  Rig rig;
  rig.machine.connected_now(rig.now, false);
  rig.machine.lost(rig.now);
  for (double pause : {1, 2, 4}) {
    CHECK(rig.machine.state() == State::connecting);
    CHECK(rig.machine.next(rig.now) == Action::none);
    CHECK(rig.machine.pausing(rig.now));
    CHECK(rig.wait() == pause);
    CHECK(rig.machine.next(rig.now) == Action::connect);
    rig.machine.connect_failed(rig.now);
  }
  CHECK(rig.machine.state() == State::failed);
  CHECK(!rig.machine.has_turn());
  CHECK(rig.machine.due() == Machine::Time::max());
  CHECK(rig.machine.next(rig.now + seconds(100'000)) == Action::none);
  rig.machine.restart(rig.now);
  CHECK(rig.machine.next(rig.now) == Action::take_turn);
}

TEST_CASE("without retries the first loss is the last") {
  Machine::Policy policy;
  policy.retries = 0;
  Rig rig(policy);
  rig.machine.connected_now(rig.now, false);
  rig.machine.lost(rig.now);
  CHECK(rig.machine.state() == State::failed);
}

TEST_CASE("progress begins the retries anew, a connection alone does not") {
  Rig rig;
  rig.machine.connected_now(rig.now, false);
  rig.machine.lost(rig.now);
  rig.wait();
  rig.machine.connected_now(rig.now, true);
  rig.machine.lost(rig.now);
  CHECK(rig.wait() == 2);
  rig.machine.connected_now(rig.now, true);
  rig.machine.progress();
  rig.machine.lost(rig.now);
  CHECK(rig.wait() == 1);
}

TEST_CASE("no pause is longer than retry-max") {
  Machine::Policy policy;
  policy.retries = 100;
  policy.retry_max = seconds(5);
  Rig rig(policy);
  std::vector<double> pauses;
  for (int i = 0; i < 50; ++i) {
    rig.machine.connect_failed(rig.now);
    pauses.push_back(rig.wait());
  }
  CHECK(std::vector<double>(pauses.begin(), pauses.begin() + 5) ==
        std::vector<double>{1, 2, 4, 5, 5});
  CHECK(pauses.back() == 5);
}

TEST_CASE("detached: it gives its turn back, and is tried once every retry-max") {
  Rig rig(detach(1));
  rig.machine.connect_failed(rig.now);
  rig.wait();
  rig.machine.connect_failed(rig.now);
  CHECK(rig.machine.state() == State::detached);
  CHECK(!rig.machine.has_turn());
  for (int i = 0; i < 3; ++i) {
    CHECK(rig.machine.next(rig.now) == Action::none);
    CHECK(rig.wait() == 60);
    CHECK(rig.machine.next(rig.now) == Action::take_turn);
    rig.machine.turn(rig.now);
    CHECK(rig.machine.next(rig.now) == Action::connect);
    rig.machine.connect_failed(rig.now);
    CHECK(rig.machine.state() == State::detached);
  }
  rig.wait();
  rig.machine.turn(rig.now);
  rig.machine.connected_now(rig.now, true);
  rig.machine.progress();
  rig.machine.caught_up();
  CHECK(rig.machine.state() == State::live);
  rig.machine.lost(rig.now);
  CHECK(rig.machine.state() == State::connecting);
}

TEST_CASE("when the clients have gone a detached one is tried at once") {
  Rig rig(detach(0));
  rig.machine.connect_failed(rig.now);
  CHECK(rig.machine.next(rig.now) == Action::none);
  rig.machine.last_try(rig.now);
  CHECK(rig.machine.next(rig.now) == Action::take_turn);
}

TEST_CASE("what is refused is not tried again") {
  Rig rig(detach());
  rig.machine.connected_now(rig.now, false);
  rig.machine.refused(rig.now);
  CHECK(rig.machine.state() == State::detached);
  rig.machine.last_try(rig.now);
  CHECK(rig.machine.next(rig.now + seconds(100'000)) == Action::none);
  rig.machine.restart(rig.now);
  CHECK(rig.machine.next(rig.now) == Action::take_turn);

  Rig fails;
  fails.machine.connected_now(fails.now, false);
  fails.machine.refused(fails.now);
  CHECK(fails.machine.state() == State::failed);
}

TEST_CASE("errors of the server: a pause, then passes, until there were too many in a row") {
  Rig rig;
  rig.machine.connected_now(rig.now, false);
  // Requests that were under way at the same time are one error.
  for (int i = 0; i < 16; ++i) rig.machine.error(rig.now);
  CHECK(rig.machine.state() == State::behind);
  CHECK(rig.machine.next(rig.now) == Action::none);
  CHECK(rig.wait() == 1);
  rig.machine.pass_ended(rig.now, true);
  CHECK(rig.wait() == 2);
  rig.machine.pass_ended(rig.now, false);
  rig.machine.pass_ended(rig.now, true);
  CHECK(rig.wait() == 1);
  rig.machine.pass_ended(rig.now, true);
  rig.wait();
  rig.machine.pass_ended(rig.now, true);
  CHECK(rig.wait() == 4);
  // What succeeds meanwhile does not hide that some of it fails.
  rig.machine.progress();
  rig.machine.pass_ended(rig.now, true);
  CHECK(rig.machine.state() == State::failed);
}

TEST_CASE("what comes too late changes nothing") {
  Rig rig(detach(0));
  rig.machine.connect_failed(rig.now);
  for (int i = 0; i < 2; ++i) {
    rig.machine.lost(rig.now);
    rig.machine.error(rig.now);
    rig.machine.owes();
    rig.machine.refused(rig.now);
    rig.machine.pass_ended(rig.now, true);
    rig.machine.caught_up();
    CHECK(rig.machine.state() == State::detached);
    CHECK(rig.machine.due() == rig.now + seconds(60));
  }
}

TEST_CASE("through with everything: the turn is given back, until clients come again") {
  Rig rig;
  rig.machine.connected_now(rig.now, false);
  rig.machine.finish();
  CHECK(rig.machine.finished());
  CHECK(!rig.machine.has_turn());
  CHECK(rig.machine.next(rig.now) == Action::none);
  rig.machine.restart(rig.now);
  CHECK(!rig.machine.finished());
  CHECK(rig.machine.next(rig.now) == Action::take_turn);
}

// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("the next destination gets the slot of one that has finished") {
  Rig rig(3, 4 * M, 1);
  rig.open();
  rig.write(0, 4 * M, byte(5));
  CHECK(rig.equal(0));
  CHECK(rig.is(1, "waiting"));
  CHECK(rig.is(2, "waiting"));
  CHECK(rig.servers[1]->connections == 0);
  rig.drain();
  CHECK(rig.equal(1));
  CHECK(rig.equal(2));
  CHECK(rig.servers[2]->connections == 1);
}

TEST_CASE("a destination that fails gives its slot to the next at once") {
  Rig rig(2, 4 * M, 1, detach);
  rig.open();
  rig.write(0, M, byte(5));
  rig.servers[0]->refuses = true;
  rig.servers[0]->kill();
  rig.write(M, M, byte(6));
  Rig::until([&] { return rig.is(1, "live"); });
  CHECK(rig.equal(1));
  rig.servers[0]->refuses = false;
  rig.drain();
  CHECK(rig.equal(0));
}

TEST_CASE("a client that comes while the destinations are drained is served") {
  Rig rig(2, 4 * M, 1);
  rig.open();
  rig.write(0, M, byte(5));
  rig.drain();
  for (const auto &d : rig.list) d->resume();
  rig.write(M, M, byte(6));
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(rig.equal(1));
}

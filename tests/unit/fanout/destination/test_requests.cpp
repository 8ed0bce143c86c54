// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("a request that does not fit the server's minimum block is deferred") {
  Rig rig(1, 4 * M);
  rig.servers[0]->refuses = true;
  rig.servers[0]->target.information.minimum_block = 4096;
  // It was not there when the block sizes were asked for.
  Rig late(1, 4 * M, 100, detach);
  late.servers[0]->refuses = true;
  late.open();
  late.servers[0]->target.information.minimum_block = 4096;
  late.servers[0]->refuses = false;
  Rig::until([&] { return late.is(0, "live"); });
  late.write(100, 100, byte(1));
  late.drain();
  CHECK(late.equal(0));
  for (const Call &call : late.servers[0]->target.calls()) CHECK(call.offset % 4096 == 0);
}

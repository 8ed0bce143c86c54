// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("state file: claimed before it is behind, exact at the end, owed by the next run") {
  Directory d;
  std::vector<std::byte> content, primary;
  {
    Rig rig(2, 20 * M, 100, saved_on_request(detach), d.path());
    Broadcaster &broadcaster = rig.open();
    rig.write(0, M, byte(1));
    broadcaster.flush([] {});
    CHECK(state_in(d, "b").owed == std::vector<Range>{{0, 16 * M}});
    rig.servers[1]->refuses = true;
    rig.servers[1]->kill();
    rig.write(18 * M, 100, byte(2));
    CHECK(state_in(d, "b").owed == std::vector<Range>{{0, 20 * M}});
    Rig::until([&] { return rig.is(1, "detached"); });
    rig.drain();
    rig.close();
    CHECK(state_in(d, "b").owed == std::vector<Range>{{18 * M, B}});
    CHECK(state_in(d, "a").owed.empty());
    content = rig.servers[1]->target.content;
    primary = rig.primary;
    CHECK(rig.said().find("b: cannot connect: refused; 65536 bytes are owed; saved in " + d.path() +
                          "/b.json") != std::string::npos);
  }
  Rig next(2, 20 * M, 100, detach, d.path());
  std::fill_n(primary.begin() + 18 * M, B, byte(7));
  next.primary = next.servers[0]->target.content = primary;
  next.servers[1]->target.content = content;
  next.open();
  Rig::until([&] { return next.is(1, "live"); });
  CHECK(next.servers[1]->target.content[18 * M] == byte(7));
  CHECK(next.counters[1]->copied == B);
  next.drain();
  next.close();
  CHECK(state_in(d, "b").owed.empty());
}

TEST_CASE("state file: a request fails if its claim cannot be written") {
  Directory d;
  Rig rig(1, 4 * M, 100, async, d.path());
  Broadcaster &broadcaster = rig.open();
  std::filesystem::remove_all(d.path());
  bool touched = false;
  CHECK_THROWS_AS(broadcaster.zero(M, 0, 0, false, [&] { touched = true; }), util::Error);
  CHECK(!touched);
  std::filesystem::create_directory(d.path());
  rig.write(0, M, byte(1));
  rig.drain();
  CHECK(rig.equal(0));
}

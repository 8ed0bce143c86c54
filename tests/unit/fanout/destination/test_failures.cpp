// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("a lost connection: the client continues, the destination catches up and is live again") {
  Rig rig(2, 4 * M, 100, [](DestinationSettings &s, size_t) { s.policy.retries = 10'000; });
  rig.open();
  rig.write(0, B, byte(1));
  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  for (unsigned i = 0; i < 8; ++i) rig.write(i * B * 3, B, byte(i));
  CHECK(rig.equal(0));
  CHECK(!rig.equal(1));
  rig.servers[1]->refuses = false;
  Rig::until([&] { return rig.is(1, "live"); });
  CHECK(rig.equal(1));
  rig.write(0, 4 * M, byte(77));
  CHECK(rig.equal(1));
  CHECK(rig.counters[1]->retries >= 1);
  rig.drain();
}

TEST_CASE("a lost connection: what was not flushed is copied again") {
  Rig rig(1, 4 * M);
  Broadcaster &broadcaster = rig.open();
  rig.write(0, B, byte(1));
  broadcaster.flush([] {});
  rig.write(10 * B, B, byte(2));
  auto &target = rig.servers[0]->target;
  target.content[10 * B] = byte(0);
  target.content[0] = byte(9);  // this was promised: it is not looked at again
  rig.servers[0]->kill();
  rig.write(20 * B, 1, byte(3));
  Rig::until([&] { return rig.is(0, "live"); });
  CHECK(target.content[10 * B] == byte(2));
  CHECK(target.content[20 * B] == byte(3));
  CHECK(target.content[0] == byte(9));
}

TEST_CASE(
    "on-error=fail: after the retries the client's next request fails and names the destination") {
  Rig rig;
  Broadcaster &broadcaster = rig.open();
  const std::vector<std::byte> data(4096, byte(1));
  try {
    // The connection is lost when the request has begun: it is not refused.
    broadcaster.write(data, 0, false, [&] {
      rig.servers[1]->refuses = true;
      rig.servers[1]->kill();
      std::lock_guard guard(rig.primary_lock);
      std::ranges::copy(data, rig.primary.begin());
    });
  } catch (const util::Error &) {  // all retries may be over at its end
  }
  Rig::until([&] { return rig.is(1, "failed"); });
  CHECK(rig.counters[1]->retries > 0);
  CHECK_THROWS_WITH(broadcaster.flush([] {}), Catch::StartsWith("b: cannot connect: refused"));
  rig.drain();
  rig.close();
  CHECK(rig.said().find("b: cannot connect: refused; 65536 bytes are owed; not saved") !=
        std::string::npos);

  // The next client finds it as it is: what is owed is still known.
  rig.servers[1]->refuses = false;
  rig.open();
  Rig::until([&] { return rig.is(1, "live"); });
  CHECK(rig.equal(1));
}

TEST_CASE("on-error=detach: the others continue, and it is retried") {
  Rig rig(2, 4 * M, 100, [](DestinationSettings &s, size_t) {
    s.policy.detach = true;
    s.policy.retry_max = std::chrono::milliseconds(5);
  });
  Broadcaster &broadcaster = rig.open();
  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  rig.write(0, M, byte(1));
  Rig::until([&] { return rig.is(1, "detached"); });
  rig.write(M, M, byte(2));
  broadcaster.flush([] {});
  rig.servers[1]->refuses = false;
  Rig::until([&] { return rig.is(1, "live"); });
  CHECK(rig.equal(1));
}

TEST_CASE("on-error=detach: it is tried once more at the end") {
  Rig rig(2, 4 * M, 100, [](DestinationSettings &s, size_t) {
    s.policy.detach = true;
    s.policy.retry_max = std::chrono::minutes(10);  // no other attempt is under way
  });
  rig.open();
  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  rig.write(2 * M, M, byte(3));
  Rig::until([&] { return rig.is(1, "detached"); });
  rig.servers[1]->refuses = false;
  rig.drain();
  CHECK(rig.equal(1));
}

TEST_CASE("on-error=detach: a destination that is absent at the start is connected later") {
  Rig rig(2, 4 * M, 100, detach);
  rig.servers[0]->refuses = true;
  rig.open();
  rig.write(0, 4 * M, byte(1));
  rig.servers[0]->refuses = false;
  Rig::until([&] { return rig.is(0, "live"); });
  CHECK(rig.equal(0));
}

TEST_CASE("ENOSPC is not retried") {
  Rig rig(2, 4 * M, 100, detach);
  rig.open();
  rig.servers[1]->target.errnum = ENOSPC;
  rig.write(0, M, byte(1));
  CHECK(rig.is(1, "detached"));
  CHECK_THAT(rig.loud(),
             Catch::Matches("error: b: detached, the other destinations continue; [0-9]+ bytes are "
                            "owed: cannot write 1048576 bytes at offset 0: No space left on "
                            "device\n"));
  rig.servers[1]->target.errnum = 0;
  rig.drain();
  CHECK(rig.servers[1]->connections == 1);
  rig.close();
  CHECK(rig.said().find("1048576 bytes are owed") != std::string::npos);
}

TEST_CASE("a server error makes the range owed, and it is retried") {
  Rig rig(1, 4 * M, 100, [](DestinationSettings &s, size_t) { s.policy.retries = 10'000; });
  rig.open();
  auto &target = rig.servers[0]->target;
  target.errnum = EIO;
  rig.write(0, M, byte(1));
  CHECK(rig.is(0, "behind"));
  target.errnum = 0;
  Rig::until([&] { return rig.is(0, "live"); });
  CHECK(rig.equal(0));
  CHECK(rig.servers[0]->connections == 1);

  Rig few(1, 4 * M);
  few.open();
  few.servers[0]->target.errnum = EIO;
  try {
    few.write(0, M, byte(2));
  } catch (const util::Error &) {  // all retries may be over at its end
  }
  Rig::until([&] { return few.is(0, "failed"); });
  CHECK(few.servers[0]->target.calls().size() > 1);
  CHECK(few.servers[0]->connections == 1);
}

TEST_CASE("on-error=detach: a destination that is too small is named, and the others continue") {
  Rig rig(2, 4 * M, 100, [](DestinationSettings &s, size_t) {
    s.policy.detach = true;
    s.policy.retry_max = std::chrono::minutes(10);
  });
  rig.servers[1]->target.information.size = M;
  rig.servers[1]->target.information.minimum_block = 4096;
  rig.list[1]->set_info(rig.servers[1]->target.information);  // as the probe at the start does
  rig.open();
  rig.write(3, 4 * M - 3, byte(1));  // need not fit its blocks
  rig.drain();
  rig.close();
  CHECK(rig.equal(0));
  CHECK(rig.servers[1]->connections == 1);
  CHECK_THAT(
      rig.said(),
      Catch::Contains("b: detached, the other destinations continue; 0 bytes are owed: the export "
                      "has 1048576 bytes, less than the primary's 4194304: make it at least as "
                      "large"));
}

TEST_CASE("on-error=fail: a destination that is too small refuses the client") {
  Rig rig(2, 4 * M);
  rig.servers[1]->target.information.size = M;
  CHECK_THROWS_WITH(rig.open(), Catch::StartsWith("b: the export has 1048576 bytes"));
}

TEST_CASE("a destination that cannot be reached: each thing is said once") {
  Rig rig(1, 4 * M, 100, [](DestinationSettings &s, size_t) {
    s.policy.detach = true;
    s.policy.retries = 1;
  });
  rig.servers[0]->refuses = true;
  rig.list[0]->is_absent(util::Error(ECONNREFUSED, "a: cannot connect: refused"));
  rig.open();
  rig.write(0, B, byte(1));
  Rig::until([&] { return rig.is(0, "detached"); });
  rig.drain();
  rig.close();
  CHECK_THAT(
      rig.loud(),
      Catch::Matches("error: a: detached, the other destinations continue; [0-9]+ bytes are owed, "
                     "trying again every 0.02 s\n"
                     "error: a: cannot connect: refused; 65536 bytes are owed; not saved, because "
                     "fanout-state is not set: the destination needs a full copy\n"));
}

TEST_CASE("a primary that cannot be read: what is owed stays owed, and is copied when it can be") {
  Rig rig(1, 4 * M, 100, [](DestinationSettings &s, size_t) {
    s.policy.retries = 10'000;
    s.spot_check = false;
  });
  rig.unreadable = true;
  rig.servers[0]->target.content.assign(4 * M, byte(1));
  rig.open();
  rig.servers[0]->target.errnum = EIO;
  rig.write(0, M, byte(7));
  rig.servers[0]->target.errnum = 0;
  Rig::until([&] { return rig.said().find("cannot read the primary") != std::string::npos; });
  CHECK(rig.state_of(0).find(" 1048576 bytes behind") != std::string::npos);
  CHECK(rig.servers[0]->target.content[0] == byte(1));
  rig.unreadable = false;
  Rig::until([&] { return rig.is(0, "live"); });
  CHECK(std::equal(rig.primary.begin(), rig.primary.begin() + M,
                   rig.servers[0]->target.content.begin()));
}

TEST_CASE("a destination that fails again and again for one reason warns once") {
  Rig rig(1, 1u << 20, 100,
          [](DestinationSettings &settings, size_t) { settings.policy.retries = 1'000'000; });
  rig.open();
  auto &target = rig.servers[0]->target;
  target.errnum = EIO;
  rig.write(0, B, byte(1));
  Rig::until([&] { return target.calls().size() > 5; });
  target.errnum = 0;
  Rig::until([&] { return rig.is(0, "live"); });
  const std::string loud = rig.loud();
  CHECK_THAT(loud, Catch::StartsWith("warning: a: cannot write 65536 bytes at offset 0"));
  CHECK(std::count(loud.begin(), loud.end(), '\n') == 1);
}

TEST_CASE("a server without flush is warned of once, however often it is connected to") {
  Rig rig(1);
  rig.servers[0]->target.information.can_flush = false;
  rig.open();
  rig.servers[0]->kill();
  rig.write(0, B, byte(1));
  Rig::until([&] { return rig.is(0, "live"); });
  const std::string loud = rig.loud(), text = "does not support flush";
  const size_t first = loud.find(text);
  REQUIRE(first != std::string::npos);
  CHECK(loud.find(text, first + 1) == std::string::npos);
}

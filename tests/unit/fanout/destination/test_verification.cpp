// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("verify: blocks that differ are counted, logged and copied again") {
  Rig rig(1, 4 * M, 100, [](DestinationSettings &s, size_t) { s.verify = 1; });
  rig.differences_expected = true;
  rig.open();
  rig.write(0, 4 * M, byte(5));
  rig.servers[0]->target.content[3 * M + 17] = byte(6);
  rig.servers[0]->target.content[3 * M - 17] = byte(6);
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->verify_mismatches == 2);
  CHECK(rig.said().find("a: 2 blocks of 65536 bytes that were read back differ") !=
        std::string::npos);
}

TEST_CASE("verify: a stop before the end does not log that all are equal") {
  Rig rig(1, 15 * DirtyMap::block, 100, [](DestinationSettings &s, size_t) {
    s.verify = 1;
    s.concurrency = 1;  // one read is at the server, the others wait
  });
  rig.open();
  auto &target = rig.servers[0]->target;
  rig.write(0, rig.size, byte(3));
  rig.broadcaster->flush([] {});
  target.at_once = false;
  rig.list[0]->drain();
  Rig::until([&] {
    auto calls = target.calls();
    if (calls.back().kind == 'r') return true;
    target.answer_all(0, 'f');
    return false;
  });
  rig.list[0]->stop();
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) {
      if (target.answer_all() == 0) std::this_thread::yield();
    }
  });
  rig.close();
  CHECK(rig.said().find("all are equal") == std::string::npos);
}

namespace {

// For Rig: all blocks are compared at the end.
auto verified(bool async) {
  return [async](DestinationSettings &settings, size_t) {
    settings.verify = 1;
    settings.policy.async = async;
  };
}

// The destination has caught up then.
void write_all(Rig &rig) {
  rig.open();
  rig.write(0, rig.size, byte(5));
  Rig::until([&] { return rig.state_of(0).find(", 0 bytes behind") != std::string::npos; });
}

}  // namespace

TEST_CASE("verify: a primary that cannot be read is no primary that is equal") {
  Rig rig(1, 4 * M, 100, verified(GENERATE(false, true)));
  write_all(rig);
  rig.unreadable = true;
  rig.drain();
  rig.close();
  CHECK(rig.said().find("all are equal") == std::string::npos);
  CHECK(rig.loud().find("error: a: cannot read the primary at offset") != std::string::npos);
}

TEST_CASE("verify: a destination that cannot be read is named at the end, with the reason") {
  Rig rig(1, 4 * M, 100, verified(GENERATE(false, true)));
  write_all(rig);
  rig.servers[0]->target.failing_reads = 1 << 30;
  rig.drain();
  rig.close();
  CHECK(rig.said().find("all are equal") == std::string::npos);
  CHECK_THAT(rig.loud(),
             Catch::Contains("error: a: ") && Catch::Contains("; it was not read back"));
}

TEST_CASE("verify: it begins again if blocks cannot be read once") {
  const bool async = GENERATE(false, true);
  Rig rig(1, 4 * M, 100, [&](DestinationSettings &s, size_t) {
    s.verify = 1;
    s.policy.async = async;
    s.policy.retries = 1;
  });
  rig.open();
  rig.write(0, 4 * M, byte(5));
  // Several blocks of one batch.
  rig.servers[0]->target.failing_reads = 3;
  rig.drain();
  rig.close();
  CHECK_THAT(rig.said(), Catch::Contains("a: 100% of the blocks were read back: all are equal"));
  CHECK(rig.loud().find("error:") == std::string::npos);
  const auto calls = rig.servers[0]->target.calls();
  CHECK(std::ranges::count(calls, 'r', &Call::kind) > 64);
}

TEST_CASE("verify: a destination that has waited for its turn is read back too") {
  Rig rig(2, M, 1, [](DestinationSettings &s, size_t) { s.verify = 1; });
  rig.open();
  rig.drain();
  rig.close();
  for (const char *name : {"a", "b"}) {
    CHECK_THAT(rig.said(),
               Catch::Contains(name + std::string(": 100% of the blocks were read back")));
  }
}

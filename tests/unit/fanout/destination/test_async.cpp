// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

TEST_CASE("async: no request waits; it is copied in large requests, zeroes as zeroes") {
  Rig rig(1, 8 * M, 100, async);
  Broadcaster &broadcaster = rig.open();
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  for (unsigned i = 0; i < 8 * M / 4096; ++i) rig.write(i * 4096, 4096, byte(i % 7 + 1));
  rig.write(4 * M, 4 * M, byte(0));
  broadcaster.flush([] {});
  CHECK(!rig.equal(0));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) {
      if (target.answer_all() == 0) std::this_thread::yield();
    }
  });
  rig.drain();
  CHECK(rig.equal(0));
  uint64_t zeroed = 0;
  size_t requests = 0;
  for (const Call &call : target.calls()) {
    if (call.kind == 'z') zeroed += call.count;
    if (call.kind == 'w') ++requests;
  }
  CHECK(zeroed >= 3 * M);
  CHECK(requests <= 60);
  auto calls = target.calls();
  std::erase_if(calls, [](const Call &c) { return c.kind == 'r'; });  // by the spot check
  CHECK(calls.back().kind == 'f');
}

TEST_CASE("async: writes that are kept in memory are not read from the primary") {
  Rig rig(1, 8 * M, 100, async);
  rig.open();
  auto &target = rig.servers[0]->target;
  for (unsigned i = 0; i < 8; ++i) {
    rig.write(i * M, M, byte(i % 7));
    // One after the other: it never has more than it may keep.
    Rig::until([&] { return rig.state_of(0).find(", 0 bytes behind") != std::string::npos; });
  }
  CHECK(rig.counters[0]->copied == 0);
  CHECK(rig.equal(0));

  // No more than 4 MiB is kept; the rest is read.
  target.at_once = false;
  for (unsigned i = 0; i < 8; ++i) rig.write(i * M, M, byte(i % 7 + 1));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) {
      if (target.answer_all() == 0) std::this_thread::yield();
    }
  });
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->copied == 4 * M);
}

TEST_CASE("async: writes that are kept in memory are owed when the connection is lost") {
  Rig rig(1, 8 * M, 100, [](DestinationSettings &s, size_t i) {
    async(s, i);
    s.policy.retries = 10'000;
  });
  rig.open();
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  for (unsigned i = 0; i < 4; ++i) rig.write(i * M, M, byte(9));
  rig.servers[0]->refuses = true;
  rig.servers[0]->kill();
  target.answer_until(0, [&] { return !rig.is(0, "behind"); });
  CHECK(rig.state_of(0).find(", 4194304 bytes behind") != std::string::npos);
  target.at_once = true;
  rig.servers[0]->refuses = false;
  Rig::until([&] { return rig.state_of(0).find(": behind, 0 bytes") != std::string::npos; });
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->copied == 4 * M);

  target.at_once = false;
  for (unsigned i = 0; i < 6; ++i) rig.write(i * M, M, byte(8));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) {
      if (target.answer_all() == 0) std::this_thread::yield();
    }
  });
  rig.drain();
  CHECK(rig.equal(0));
}

// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "tests/unit/fanout/rig.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace fanout;

namespace {

const std::vector<std::byte> data(8192, std::byte{1});

void no_retries(DestinationSettings &settings, size_t) {
  settings.policy.retries = 0;
}

}  // namespace

TEST_CASE("a write is sent to every destination before the primary is written, and waits for all") {
  Rig rig;
  Broadcaster &broadcaster = rig.open();
  auto &a = rig.servers[0]->target, &b = rig.servers[1]->target;
  a.at_once = b.at_once = false;
  std::atomic<bool> primary = false;
  testing::WaitingThread client([&] {
    broadcaster.write(data, 0, false, [&] {
      CHECK(a.held() == 1);
      CHECK(b.held() == 1);
      primary = true;
    });
  });
  while (!primary) std::this_thread::yield();
  b.answer_all();
  CHECK(client.waits());
  a.answer_all();
  client.join();
  CHECK(a.content[8191] == std::byte{1});
  CHECK(b.content[8191] == std::byte{1});
  a.at_once = b.at_once = true;
}

TEST_CASE("after a failure no destination still uses the buffer") {
  Rig rig(2, 1u << 20, 100, no_retries);
  Broadcaster &broadcaster = rig.open();
  auto &a = rig.servers[0]->target, &b = rig.servers[1]->target;
  a.at_once = false;
  bool primary_fails = GENERATE(true, false);
  b.errnum = primary_fails ? 0 : EIO;
  std::atomic<bool> failed = false;
  testing::WaitingThread client([&] {
    try {
      broadcaster.write(data, 0, false, [&] {
        if (primary_fails) throw std::runtime_error("the primary");
      });
    } catch (const std::exception &e) {
      failed = std::string(e.what()).find(primary_fails ? "the primary" : "b: cannot write") == 0;
    }
  });
  while (a.held() == 0) std::this_thread::yield();
  CHECK(client.waits());
  a.at_once = true;
  a.answer_all();
  client.join();
  CHECK(failed);
}

TEST_CASE("after a destination has failed requests fail without touching the primary") {
  Rig rig;
  Broadcaster &broadcaster = rig.open();
  rig.servers[1]->target.errnum = ENOSPC;
  CHECK_THROWS_WITH(broadcaster.write(data, 0, false, [] {}),
                    Catch::StartsWith("b: cannot write 8192 bytes at offset 0: No space left"));
  rig.servers[1]->target.errnum = 0;
  bool touched = false;
  auto primary = [&] { touched = true; };
  try {
    broadcaster.write(data, 0, false, primary);
    FAIL();
  } catch (const util::Error &e) {
    CHECK(e.errnum() == ENOSPC);
  }
  CHECK_THROWS_AS(broadcaster.zero(4096, 0, 0, false, primary), util::Error);
  CHECK_THROWS_AS(broadcaster.flush(primary), util::Error);
  CHECK(!touched);
}

TEST_CASE("a flush reaches all; FUA becomes a flush where the server has no FUA") {
  Rig rig;
  rig.servers[1]->target.information.can_fua = false;
  Broadcaster &broadcaster = rig.open();
  int primary = 0;
  broadcaster.flush([&] { ++primary; });
  CHECK(primary == 1);
  broadcaster.write(data, 4096, true, [] {});
  broadcaster.zero(4096, 0, 0, true, [] {});
  CHECK(rig.servers[0]->target.calls() ==
        std::vector<Call>{{'f', 0, 0, 0}, {'w', 4096, 8192, nbd::fua}, {'z', 0, 4096, nbd::fua}});
  CHECK(
      rig.servers[1]->target.calls() ==
      std::vector<Call>{
          {'f', 0, 0, 0}, {'w', 4096, 8192, 0}, {'f', 0, 0, 0}, {'z', 0, 4096, 0}, {'f', 0, 0, 0}});
}

TEST_CASE("a write that the primary refuses leaves the destinations equal") {
  Rig rig;
  Broadcaster &broadcaster = rig.open();
  CHECK_THROWS(
      broadcaster.write(data, 4096, false, [] { throw std::runtime_error("the primary"); }));
  rig.drain();
  for (size_t i = 0; i < 2; ++i) {
    CHECK(rig.equal(i));
    CHECK(rig.counters[i]->verify_mismatches == 0);  // it was owed, and not found at the end
  }
}

TEST_CASE("overlapping requests are serialized, others do not wait") {
  Rig rig(1);
  Broadcaster &broadcaster = rig.open();
  std::atomic<bool> first = false, go = false, second = false;
  std::jthread one([&] {
    broadcaster.write(data, 4096, false, [&] {
      first = true;
      while (!go) std::this_thread::yield();
    });
  });
  while (!first) std::this_thread::yield();
  testing::WaitingThread two([&] { broadcaster.write(data, 8192, false, [&] { second = true; }); });
  broadcaster.write(data, 20480, false, [] {});
  CHECK(two.waits());
  CHECK(!second);
  go = true;
  two.join();
  CHECK(second);
}

TEST_CASE("a destination smaller than the primary is refused, a larger one is not") {
  Rig rig(2, 8192);
  rig.servers[0]->target.information.size = 4096;
  CHECK_THROWS_WITH(rig.open(),
                    Catch::StartsWith("a: ") && Catch::Contains("4096") && Catch::Contains("8192"));
  Rig large(2, 8192);
  large.servers[0]->target.information.size = 10000;
  CHECK_NOTHROW(large.open());
}

TEST_CASE("requests must be aligned to the destinations' minimum block") {
  Rig rig;
  rig.servers[1]->target.information.minimum_block = 512;
  Broadcaster &broadcaster = rig.open();
  CHECK(broadcaster.minimum_block() == 512);
  CHECK_THROWS_WITH(broadcaster.write(std::span(data).first(100), 0, false, [] { FAIL(); }),
                    Catch::StartsWith("b: ") && Catch::Contains("512"));
  CHECK_THROWS_AS(broadcaster.zero(512, 100, 0, false, [] { FAIL(); }), util::Error);
  CHECK(rig.servers[0]->target.calls().empty());
  broadcaster.write(std::span(data).first(1024), 512, false, [] {});
  CHECK(rig.servers[1]->target.calls().size() == 1);

  Rig odd(2, 1000);
  odd.servers[0]->target.information.minimum_block = 512;
  CHECK_THROWS_WITH(odd.open(), Catch::Contains("512") && Catch::Contains("1000"));
}

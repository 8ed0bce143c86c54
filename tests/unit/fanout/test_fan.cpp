// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <stdexcept>
#include <thread>

#include "common/util/error.hpp"
#include "filters/fanout/fan.hpp"
#include "tests/unit/fanout/fake_target.hpp"

using namespace fanout;

namespace {

// Two destinations, "a" and "b".
struct Rig {
  explicit Rig(uint64_t size = 1u << 20) {
    for (const char *name : {"a", "b"}) {
      auto owned = std::make_unique<FakeTarget>(size);
      targets.push_back(owned.get());
      Settings settings;
      settings.name = name;
      counters.push_back(std::make_unique<Counters>(name));
      parts.push_back(std::make_unique<Destination>(settings, std::move(owned), *counters.back()));
    }
  }
  Fan fan(uint64_t primary_size = 1u << 20) { return Fan(std::move(parts), primary_size); }

  std::vector<std::unique_ptr<Counters>> counters;
  std::vector<FakeTarget *> targets;
  std::vector<std::unique_ptr<Destination>> parts;
};

const std::vector<std::byte> data(8192, std::byte{1});

}  // namespace

TEST_CASE("a write is at every destination before the primary is written, and over after all") {
  Rig rig;
  Fan fan = rig.fan();
  rig.targets[0]->at_once = rig.targets[1]->at_once = false;
  std::atomic<bool> over = false;
  std::atomic<bool> primary = false;
  std::jthread client([&] {
    fan.write(data, 0, false, [&] {
      CHECK(rig.targets[0]->held() == 1);
      CHECK(rig.targets[1]->held() == 1);
      primary = true;
    });
    over = true;
  });
  while (!primary) std::this_thread::yield();
  rig.targets[1]->answer_all();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(!over);  // a failure of this check is real; that it holds cannot depend on the sleep
  rig.targets[0]->answer_all();
  client.join();
  CHECK(over);
  CHECK(rig.targets[0]->content[8191] == std::byte{1});
  CHECK(rig.targets[1]->content[8191] == std::byte{1});
}

TEST_CASE("also when the primary or one destination fails, no other still has the buffer") {
  Rig rig;
  Fan fan = rig.fan();
  rig.targets[0]->at_once = false;
  bool primary_fails = GENERATE(true, false);
  rig.targets[1]->errnum = primary_fails ? 0 : EIO;
  std::atomic<bool> over = false;
  std::atomic<bool> failed = false;
  std::jthread client([&] {
    try {
      fan.write(data, 0, false, [&] {
        if (primary_fails) throw std::runtime_error("the primary");
      });
    } catch (const std::exception &e) {
      failed = std::string(e.what()).find(primary_fails ? "the primary" : "b: cannot write") == 0;
    }
    over = true;
  });
  while (rig.targets[0]->held() == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(!over);
  rig.targets[0]->answer_all();
  client.join();
  CHECK(failed);
}

TEST_CASE("after a failure nothing more is acknowledged, and the primary is left alone") {
  Rig rig;
  Fan fan = rig.fan();
  rig.targets[1]->errnum = ENOSPC;
  CHECK_THROWS_WITH(fan.write(data, 0, false, [] {}), Catch::StartsWith("b: "));
  rig.targets[1]->errnum = 0;
  bool touched = false;
  auto primary = [&] { touched = true; };
  CHECK_THROWS_AS(fan.write(data, 0, false, primary), util::Error);
  CHECK_THROWS_AS(fan.zero(4096, 0, 0, false, primary), util::Error);
  CHECK_THROWS_AS(fan.flush(primary), util::Error);
  CHECK(!touched);
}

TEST_CASE("a flush reaches all; FUA is a flush afterwards where there is no FUA") {
  Rig rig;
  Fan fan = rig.fan();
  rig.targets[1]->information.can_fua = false;
  int primary = 0;
  fan.flush([&] { ++primary; });
  CHECK(primary == 1);
  fan.write(data, 4096, true, [] {});
  fan.zero(4096, 0, 0, true, [] {});
  CHECK(rig.targets[0]->calls() ==
        std::vector<Call>{{'f', 0, 0, 0}, {'w', 4096, 8192, nbd::fua}, {'z', 0, 4096, nbd::fua}});
  CHECK(
      rig.targets[1]->calls() ==
      std::vector<Call>{
          {'f', 0, 0, 0}, {'w', 4096, 8192, 0}, {'f', 0, 0, 0}, {'z', 0, 4096, 0}, {'f', 0, 0, 0}});
}

TEST_CASE("a destination smaller than the primary is refused, a larger one is not") {
  Rig small(4095);
  CHECK_THROWS_WITH(small.fan(4096),
                    Catch::StartsWith("a: ") && Catch::Contains("4095") && Catch::Contains("4096"));
  Rig large(4097);
  CHECK_NOTHROW(large.fan(4096));
}

TEST_CASE("a destination's minimum block is kept to") {
  Rig rig;
  rig.targets[1]->information.minimum_block = 512;
  Fan fan = rig.fan();
  CHECK(fan.minimum_block() == 512);
  CHECK_THROWS_WITH(fan.write(std::span(data).first(100), 0, false, [] { FAIL(); }),
                    Catch::StartsWith("b: ") && Catch::Contains("512"));
  CHECK_THROWS_AS(fan.zero(512, 100, 0, false, [] { FAIL(); }), util::Error);
  CHECK(rig.targets[0]->calls().empty());
  fan.write(std::span(data).first(1024), 512, false, [] {});
  CHECK(rig.targets[1]->calls().size() == 1);

  Rig odd;
  odd.targets[0]->information.minimum_block = 512;
  CHECK_THROWS_WITH(odd.fan(1000), Catch::Contains("512") && Catch::Contains("1000"));
}

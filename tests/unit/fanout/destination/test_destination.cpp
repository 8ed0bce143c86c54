// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <random>
#include <thread>

#include "common/replication/state_file.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

namespace {

constexpr uint64_t M = 1u << 20;
constexpr uint64_t B = DirtyMap::block;

std::byte byte(unsigned n) {
  return static_cast<std::byte>(n);
}

void async(Settings &settings, size_t) {
  settings.policy.async = true;
}
void detach(Settings &settings, size_t) {
  settings.policy.detach = true;
}

using testing::Directory;

replication::State state_in(const Directory &directory, const std::string &name) {
  return replication::load_state(directory.file(name + ".json")).value();
}

}  // namespace

TEST_CASE("lost and back again: the client goes on, what it missed is copied, then it is live") {
  Rig rig(2, 4 * M, 100, [](Settings &s, size_t) { s.policy.retries = 10'000; });
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

TEST_CASE("what was written before and not flushed is copied again: the server may have lost it") {
  Rig rig(1, 4 * M);
  Fan &fan = rig.open();
  rig.write(0, B, byte(1));
  fan.flush([] {});
  rig.write(10 * B, B, byte(2));
  auto &target = rig.servers[0]->target;
  rig.servers[0]->kill();
  target.content[10 * B] = byte(0);
  target.content[0] = byte(9);  // this was promised: it is not looked at again
  rig.write(20 * B, 1, byte(3));
  Rig::until([&] { return rig.is(0, "live"); });
  CHECK(target.content[10 * B] == byte(2));
  CHECK(target.content[20 * B] == byte(3));
  CHECK(target.content[0] == byte(9));
}

TEST_CASE("fail: after the retries the client's next request fails, with the name") {
  Rig rig;
  Fan &fan = rig.open();
  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  rig.write(0, 4096, byte(1));
  Rig::until([&] { return rig.is(1, "failed"); });
  CHECK_THROWS_WITH(fan.flush([] {}), Catch::StartsWith("b: cannot connect: refused"));
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

TEST_CASE("detach: the others go on, it is tried again, and once more at the end") {
  Rig rig(2, 4 * M, 100, [](Settings &s, size_t) {
    s.policy.detach = true;
    s.policy.retry_max = std::chrono::milliseconds(5);
  });
  Fan &fan = rig.open();
  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  rig.write(0, M, byte(1));
  Rig::until([&] { return rig.is(1, "detached"); });
  rig.write(M, M, byte(2));
  fan.flush([] {});
  rig.servers[1]->refuses = false;
  Rig::until([&] { return rig.is(1, "live"); });
  CHECK(rig.equal(1));

  rig.servers[1]->refuses = true;
  rig.servers[1]->kill();
  rig.write(2 * M, M, byte(3));
  Rig::until([&] { return rig.is(1, "detached"); });
  rig.servers[1]->refuses = false;
  rig.drain();
  CHECK(rig.equal(1));
}

TEST_CASE("detach: one that is not there at the start comes later") {
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
  CHECK(rig.said().find("b: cannot write 1048576 bytes at offset 0: No space left on device: it is "
                        "detached") != std::string::npos);
  rig.servers[1]->target.errnum = 0;
  rig.drain();
  CHECK(rig.servers[1]->connections == 1);
  rig.close();
  CHECK(rig.said().find("1048576 bytes are owed") != std::string::npos);
}

TEST_CASE("an error of the server: owed, and tried again within the retries") {
  Rig rig(1, 4 * M, 100, [](Settings &s, size_t) { s.policy.retries = 10'000; });
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
  few.write(0, M, byte(2));
  Rig::until([&] { return few.is(0, "failed"); });
  CHECK(few.servers[0]->connections == 1);
}

TEST_CASE("async: nobody waits for it; at the end it is equal, in large requests, zeroes as such") {
  Rig rig(1, 16 * M, 100, async);
  Fan &fan = rig.open();
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  for (unsigned i = 0; i < 16 * M / 4096; ++i) rig.write(i * 4096, 4096, byte(i % 7 + 1));
  rig.write(4 * M, 4 * M, byte(0));
  fan.flush([] {});
  CHECK(!rig.equal(0));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) target.answer_all();
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
  CHECK(target.calls().back().kind == 'f');
}

TEST_CASE("async: what it has time for is sent as it was written, and not read from the primary") {
  Rig rig(1, 16 * M, 100, async);
  rig.open();
  auto &target = rig.servers[0]->target;
  for (unsigned i = 0; i < 16; ++i) {
    rig.write(i * M, M, byte(i % 7));
    // One after the other: it never has more than it may keep.
    Rig::until([&] { return rig.state_of(0).find(", 0 bytes behind") != std::string::npos; });
  }
  CHECK(rig.counters[0]->copied == 0);
  CHECK(rig.equal(0));

  // No more than 4 MiB is kept; the rest is read.
  target.at_once = false;
  for (unsigned i = 0; i < 16; ++i) rig.write(i * M, M, byte(i % 7 + 1));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) target.answer_all();
  });
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->copied == 12 * M);
}

TEST_CASE("async: what it has taken along is owed when the connection is lost, or it is stopped") {
  Rig rig(1, 16 * M, 100, async);
  rig.open();
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  for (unsigned i = 0; i < 4; ++i) rig.write(i * M, M, byte(9));
  rig.servers[0]->refuses = true;
  rig.servers[0]->kill();
  target.answer_all();
  Rig::until([&] { return !rig.is(0, "behind"); });
  CHECK(rig.state_of(0).find(", 4194304 bytes behind") != std::string::npos);
  rig.servers[0]->refuses = false;
  target.at_once = true;
  Rig::until([&] { return rig.state_of(0).find(": behind, 0 bytes") != std::string::npos; });
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->copied == 4 * M);

  target.at_once = false;
  for (unsigned i = 0; i < 6; ++i) rig.write(i * M, M, byte(8));
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) target.answer_all();
  });
  rig.drain();
  CHECK(rig.equal(0));
}

TEST_CASE("as many as have a turn are served; the next has its turn when one is through") {
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

TEST_CASE("one that fails gives its turn to the next at once") {
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

TEST_CASE("clients that come while the last one's are drained are served") {
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

TEST_CASE("what is read back and differs is told, and copied again") {
  Rig rig(1, 4 * M, 100, [](Settings &s, size_t) { s.verify = 1; });
  rig.open();
  rig.write(0, 4 * M, byte(5));
  rig.servers[0]->target.content[3 * M + 17] = byte(6);
  rig.servers[0]->target.content[3 * M - 17] = byte(6);
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->differences == 2);
  CHECK(rig.said().find("a: 2 blocks of 65536 bytes that were read back are not") !=
        std::string::npos);
}

TEST_CASE("what is stopped before all is read back does not say that all is equal") {
  Rig rig(1, 15 * DirtyMap::block, 100, [](Settings &s, size_t) {
    s.verify = 1;
    s.concurrency = 1;  // one read is at the server, the others wait
  });
  rig.open();
  auto &target = rig.servers[0]->target;
  rig.write(0, rig.size, byte(3));
  rig.fan->flush([] {});
  target.at_once = false;
  rig.list[0]->drain();
  Rig::until([&] {
    auto calls = target.calls();
    if (calls.back().kind == 'r') return true;
    target.answer_all();
    return false;
  });
  rig.list[0]->stop();
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) target.answer_all();
  });
  rig.close();
  CHECK(rig.said().find("all are equal") == std::string::npos);
}

TEST_CASE("a request that is not made of the server's blocks becomes a copy") {
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

TEST_CASE("the state: claimed before it is behind, exact at the end, owed by the next run") {
  Directory d;
  std::vector<std::byte> content;
  {
    Rig rig(2, 64 * M, 100, detach, d.path());
    Fan &fan = rig.open();
    rig.write(0, M, byte(1));
    fan.flush([] {});
    CHECK(!std::filesystem::exists(d.path() + "/b.json"));
    rig.servers[1]->refuses = true;
    rig.servers[1]->kill();
    rig.write(40 * M, 100, byte(2));
    auto owed = state_in(d, "b").owed;
    REQUIRE(owed.size() == 1);
    CHECK(owed[0] == Range{32 * M, 16 * M});
    Rig::until([&] { return rig.is(1, "detached"); });
    rig.drain();
    rig.close();
    CHECK(state_in(d, "b").owed == std::vector<Range>{{40 * M, B}});
    CHECK(state_in(d, "a").owed.empty());
    content = rig.servers[1]->target.content;
    CHECK(rig.said().find("b: cannot connect: refused; 65536 bytes are owed; saved in " + d.path() +
                          "/b.json") != std::string::npos);
  }
  Rig next(2, 64 * M, 100, detach, d.path());
  next.primary.assign(64 * M, byte(7));
  next.servers[1]->target.content = content;
  next.open();
  Rig::until([&] { return next.is(1, "live"); });
  CHECK(next.servers[1]->target.content[40 * M] == byte(7));
  CHECK(next.servers[1]->target.content[40 * M - 1] == byte(0xff));
  next.drain();
  next.close();
  CHECK(state_in(d, "b").owed.empty());
}

TEST_CASE("a state that cannot be written: nothing is acknowledged that it would have to hold") {
  Directory d;
  Rig rig(1, 64 * M, 100, async, d.path());
  Fan &fan = rig.open();
  std::filesystem::remove_all(d.path());
  bool touched = false;
  CHECK_THROWS_AS(fan.zero(M, 0, 0, false, [&] { touched = true; }), util::Error);
  CHECK(!touched);
  std::filesystem::create_directory(d.path());
  rig.write(0, M, byte(1));
  rig.drain();
  CHECK(rig.equal(0));
}

// Several clients write at random, servers die and come back, and answer with errors.
TEST_CASE("whatever happens to the servers, all are equal in the end") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    Rig rig(3, 8 * M, 100, [](Settings &s, size_t i) {
      s.policy.detach = true;
      s.policy.retries = 100;
      s.policy.async = i == 2;
      s.concurrency = 4;
    });
    rig.open();
    std::atomic<int> writing = 3;
    std::vector<std::jthread> clients;
    for (unsigned c = 0; c < 3; ++c) {
      clients.emplace_back([&, c] {
        std::mt19937 random(seed * 10 + c);
        for (int i = 0; i < 150; ++i) {
          uint64_t count = 1 + random() % (i % 10 == 0 ? M : 5000);
          uint64_t offset = random() % (rig.size - count);
          if (i % 3 == 0) {  // whole blocks
            offset = offset / DirtyMap::block * DirtyMap::block;
            count = std::min(rig.size - offset, (2 + random() % 6) * DirtyMap::block);
          }
          rig.write(offset, count, byte(random() % 4));
          if (i % 20 == 19) rig.fan->flush([] {});
        }
        --writing;
      });
    }
    std::mt19937 random(seed);
    while (writing > 0) {
      auto &server = *rig.servers[random() % 3];
      switch (random() % 3) {
        case 0:
          server.kill();
          break;
        case 1:
          server.refuses = !server.refuses;
          break;
        case 2:
          server.target.errnum = random() % 4 == 0 ? EIO : 0;
          break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 5));
    }
    clients.clear();
    for (const auto &server : rig.servers) {
      server->refuses = false;
      server->target.errnum = 0;
    }
    rig.drain();
    for (size_t i = 0; i < 3; ++i) CHECK(rig.equal(i));
  }
}

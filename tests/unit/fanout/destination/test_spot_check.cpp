// SPDX-License-Identifier: BSD-3-Clause
//
// A destination is the one that was meant.
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "filters/fanout/catch_up/spot_blocks.hpp"
#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"

using namespace fanout;

namespace {

// More blocks than are compared.
constexpr uint64_t size = 4 * M;

size_t calls_of(FakeServer &server, char kind) {
  auto calls = server.target.calls();
  return static_cast<size_t>(
      std::count_if(calls.begin(), calls.end(), [&](const Call &c) { return c.kind == kind; }));
}

// An earlier run has left the state of a destination a that is equal to its primary.
struct EarlierRun {
  explicit EarlierRun(uint64_t bytes = size) {
    replication::State state;
    state.source = "nbdkit-fanout-filter";
    state.destination = "a";
    state.size = bytes;
    state.owed = owed;
    replication::save_state(directory.file("a.json"), state);
  }
  Directory directory;
  std::vector<Range> owed;
};

bool said(Rig &rig, const char *text) {
  return rig.said().find(text) != std::string::npos;
}
bool compared(Rig &rig) {
  return said(rig, "blocks were compared: all are equal");
}
bool repaired(Rig &rig) {
  return said(rig, "a: this is not the copy that it should be") && said(rig, "a: has caught up");
}

}  // namespace

TEST_CASE("spot check: another disk, an older copy or an empty one is copied as a whole") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  rig.differences_expected = true;
  auto &content = rig.servers[0]->target.content;
  SECTION("empty") {
    content.assign(size, byte(0));
  }
  SECTION("another") {
    content.assign(size, byte(1));
  }
  SECTION("only the first block differs") {
    content.front() = byte(1);
  }
  SECTION("only the last block differs") {
    content.back() = byte(1);
  }
  SECTION("every second block is older") {
    for (uint64_t at = B + 5; at < size; at += 2 * B) content[at] = byte(1);
  }
  rig.open();
  Rig::until([&] { return repaired(rig); });
  CHECK(rig.equal(0));
  CHECK(rig.counters[0]->copied == size);
  CHECK(rig.counters[0]->verify_mismatches == 1);
  CHECK(rig.said().find("error") == std::string::npos);
  rig.drain();
  rig.close();
  CHECK(state_in(earlier.directory, "a").owed.empty());
}

TEST_CASE("spot check: where the primary is zero, data at the destination is found") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  rig.primary.assign(size, byte(0));
  rig.open();
  Rig::until([&] { return repaired(rig); });
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: little data on a large disk is found, and zeroes are not read for it") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  rig.primary.assign(size, byte(0));
  rig.servers[0]->target.content = rig.primary;
  for (uint64_t block = 1; block < size / B; block += 8) rig.primary[block * B] = byte(1);
  rig.open();
  Rig::until([&] { return repaired(rig); });
  CHECK(calls_of(*rig.servers[0], 'r') < 40);
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: of the right destination a few blocks are read, and nothing is written") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  SECTION("data") {}
  SECTION("zeroes") {
    rig.primary.assign(size, byte(0));
    rig.servers[0]->target.content = rig.primary;
  }
  rig.open();
  Rig::until([&] { return compared(rig); });
  rig.drain();
  rig.close();
  const size_t reads = calls_of(*rig.servers[0], 'r');
  CHECK(reads >= 16);
  CHECK(reads <= 20);
  CHECK(rig.servers[0]->target.calls().size() == reads);
}

TEST_CASE("spot check: what is owed is not compared") {
  EarlierRun earlier;
  auto state = state_in(earlier.directory, "a");
  state.owed = {{0, 2 * M}, {size - M, M}};
  replication::save_state(earlier.directory.file("a.json"), state);
  Rig rig(1, size, 100, {}, earlier.directory.path());
  for (const Range &r : state.owed) {
    std::fill_n(rig.servers[0]->target.content.begin() + static_cast<ptrdiff_t>(r.offset), r.length,
                byte(0));
  }
  rig.open();
  Rig::until([&] { return rig.is(0, "live") && compared(rig); });
  CHECK(rig.counters[0]->copied == 3 * M);
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: a client's write under way is not taken for a difference, nor deferred") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  std::unique_lock guard(rig.primary_lock);  // so the primary is not read yet
  Broadcaster &broadcaster = rig.open();
  std::atomic<bool> written = false;
  const std::vector<std::byte> data(size, byte(3));
  std::jthread client([&] {
    broadcaster.write(data, 0, false, [&] {
      rig.primary = data;
      written = true;
    });
  });
  Rig::until([&] { return written && target.held() > 0; });
  guard.unlock();
  while (!compared(rig)) {
    if (target.answer_all(0, 'r') == 0) std::this_thread::yield();
  }
  target.release();
  client.join();
  CHECK(rig.equal(0));
  CHECK(rig.is(0, "live"));
  CHECK(rig.counters[0]->copied == 0);
}

TEST_CASE("spot check: not with fanout-verify=off") {
  EarlierRun earlier;
  Rig rig(
      1, size, 100, [](DestinationSettings &s, size_t) { s.spot_check = false; },
      earlier.directory.path());
  rig.servers[0]->target.content.assign(size, byte(0));
  rig.open();
  rig.write(0, B, byte(1));
  rig.drain();
  CHECK(calls_of(*rig.servers[0], 'r') == 0);
  CHECK(rig.counters[0]->copied == 0);
}

TEST_CASE("spot check: of a destination that comes later, and of each new connection") {
  EarlierRun earlier;
  Rig rig(
      1, size, 100,
      [](DestinationSettings &s, size_t) {
        s.policy.detach = true;
        s.policy.retries = 10'000;
      },
      earlier.directory.path());
  FakeServer &server = *rig.servers[0];
  server.refuses = true;
  server.target.content.assign(size, byte(0));
  rig.open();
  server.refuses = false;
  Rig::until([&] { return repaired(rig); });
  CHECK(rig.equal(0));
  // It owes the copies until they are flushed.
  Rig::until([&] { return state_in(earlier.directory, "a").owed.empty(); });

  server.refuses = true;
  server.kill();
  rig.list[0]->wake();
  Rig::until([&] { return rig.is(0, "connecting"); });
  server.target.content.assign(size, byte(0));
  server.refuses = false;
  Rig::until([&] { return rig.counters[0]->verify_mismatches == 2 && rig.is(0, "live"); });
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: a connection that is lost meanwhile is compared when it is there again") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  auto &target = rig.servers[0]->target;
  target.content.assign(size, byte(0));
  target.at_once = false;
  rig.open();
  Rig::until([&] { return target.held() > 0; });
  rig.servers[0]->kill();
  target.at_once = true;
  target.answer_all(ENOTCONN);
  Rig::until([&] { return repaired(rig); });
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: a destination that cannot be read is said, and goes on") {
  EarlierRun earlier;
  Rig rig(1, size, 100, {}, earlier.directory.path());
  rig.servers[0]->target.errnum = EIO;
  rig.open();
  Rig::until([&] { return said(rig, "cannot be compared"); });
  rig.servers[0]->target.errnum = 0;
  rig.write(0, B, byte(1));
  CHECK(rig.is(0, "live"));
}

TEST_CASE("spot check: a new destination is compared at the end, if clients have written") {
  Directory d;
  Rig rig(1, size, 100, {}, GENERATE(true, false) ? d.path() : "");
  rig.differences_expected = true;
  auto &server = *rig.servers[0];
  server.target.content.assign(size, byte(1));
  rig.open();
  SECTION("they have made it equal") {
    rig.write(0, size, byte(2));
    rig.drain();
    Rig::until([&] { return compared(rig); });  // it is logged without the lock
    CHECK(rig.counters[0]->copied == 0);
  }
  SECTION("it was not equal, as fanout-new=equal said") {
    rig.write(0, B, byte(2));
    rig.drain();
    CHECK(rig.counters[0]->copied == size);
  }
  SECTION("the next client finds another one") {
    rig.write(0, size, byte(2));
    rig.drain();
    rig.close();
    server.target.content.assign(size, byte(1));
    rig.open();
    Rig::until([&] { return repaired(rig); });
  }
  CHECK(rig.equal(0));
}

TEST_CASE("spot check: a new destination that no client has written to is left alone") {
  Rig rig(1, size);
  rig.servers[0]->target.content.assign(size, byte(1));
  rig.open();
  rig.drain();
  CHECK(rig.servers[0]->target.calls().empty());
}

TEST_CASE(
    "spot check: a client that only looks does not make a new destination one that is relied on") {
  Directory d;
  Rig rig(1, size, 100, {}, d.path());
  rig.servers[0]->target.content.assign(size, byte(1));
  rig.open();
  rig.drain();
  rig.close();
  CHECK(!std::filesystem::exists(d.file("a.json")));
  rig.open();
  rig.write(0, size, byte(2));
  rig.drain();
  CHECK(rig.equal(0));
  CHECK(!said(rig, "this is not the copy"));
  CHECK(rig.counters[0]->copied == 0);
}

TEST_CASE("a state file owes what is under way at every moment") {
  constexpr uint64_t bytes = 18 * M;  // two regions of the file, of 16 and 2 MiB
  EarlierRun earlier(bytes);
  const std::string state = earlier.directory.path(), killed = state + "-killed";
  std::vector<std::byte> primary;
  {
    Rig rig(1, bytes, 100, {}, state);
    auto &target = rig.servers[0]->target;
    rig.open();
    Rig::until([&] { return compared(rig); });
    target.at_once = false;
    std::jthread client([&] { rig.write(17 * M, B, byte(1)); });
    Rig::until([&] { return target.held() > 0; });
    std::filesystem::copy(state, killed);  // as kill -9 leaves it
    target.release();
    client.join();
    primary = rig.primary;
  }
  Rig next(1, bytes, 100, {}, killed);
  next.primary = primary;
  next.open();
  Rig::until([&] { return next.is(0, "live") && compared(next); });
  CHECK(next.equal(0));
  CHECK(next.counters[0]->copied == 2 * M);
  next.close();
  std::filesystem::remove_all(killed);
}

TEST_CASE("spot blocks: the first, the last, and others; none twice") {
  SpotBlocks small(3 * B + 1, 1);
  CHECK(small.next() == Range{0, B});
  CHECK(small.next() == Range{3 * B, 1});
  auto third = small.next();
  auto fourth = small.next();
  REQUIRE(third);
  REQUIRE(fourth);
  CHECK(third->offset + fourth->offset == 3 * B);
  CHECK(!small.next());
  SpotBlocks one(5, 1);
  CHECK(one.next() == Range{0, 5});
  CHECK(!one.next());
}

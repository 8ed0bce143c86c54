// SPDX-License-Identifier: BSD-3-Clause
//
// What a client's flush promises: everything is durable at a destination, or its state file owes it.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace fanout;

namespace {

size_t flushes_of(FakeServer &server) {
  auto calls = server.target.calls();
  return static_cast<size_t>(
      std::count_if(calls.begin(), calls.end(), [](const Call &c) { return c.kind == 'f'; }));
}

void long_pause(DestinationSettings &settings, size_t) {
  settings.policy.retry_delay = settings.policy.retry_max = std::chrono::minutes(10);
}

// It comes no more after its connection is lost, and clients go on without it.
void never_again(DestinationSettings &settings, size_t) {
  long_pause(settings, 0);
  settings.policy.detach = true;
}

bool owes(const Directory &directory, const std::string &name, uint64_t offset) {
  if (!std::filesystem::exists(directory.file(name + ".json"))) return false;
  for (const Range &r : state_in(directory, name).owed) {
    if (offset >= r.offset && offset < r.end()) return true;
  }
  return false;
}

int errnum_of_flush(Broadcaster &broadcaster, std::string *what = nullptr) {
  try {
    broadcaster.flush([] {});
    return 0;
  } catch (const util::Error &e) {
    if (what != nullptr) *what = e.what();
    return e.errnum();
  }
}

// Leaves the state of a destination a that was equal to its primary.
void copied_once(const Directory &d) {
  Rig rig(1, 20 * M, 100, {}, d.path());
  rig.open();
  rig.write(0, B, byte(9));
  rig.drain();
  rig.close();
  REQUIRE(state_in(d, "a").owed.empty());
}

}  // namespace

TEST_CASE("flush: a destination that is behind is flushed if it has anything unflushed") {
  Directory d;
  Rig rig(1, 20 * M, 100, saved_on_request(long_pause), d.path());
  Broadcaster &broadcaster = rig.open();
  rig.write(0, B, byte(1));
  rig.servers[0]->target.errnum = EIO;
  rig.write(16 * M, B, byte(2));
  rig.servers[0]->target.errnum = 0;
  REQUIRE(rig.is(0, "behind"));
  broadcaster.flush([] {});
  CHECK(flushes_of(*rig.servers[0]) == 1);
  CHECK(owes(d, "a", 16 * M));
  broadcaster.flush([] {});
  CHECK(flushes_of(*rig.servers[0]) == 1);  // nothing is unflushed there
}

TEST_CASE("flush: if a destination that is behind cannot flush, its file owes what it has") {
  Directory d;
  Rig rig(1, 20 * M, 100, saved_on_request(long_pause), d.path());
  Broadcaster &broadcaster = rig.open();
  rig.write(0, B, byte(1));
  rig.servers[0]->target.errnum = EIO;
  rig.write(16 * M, B, byte(2));
  broadcaster.flush([] {});
  CHECK(owes(d, "a", 0));
  CHECK(owes(d, "a", 16 * M));
  rig.servers[0]->target.errnum = 0;
}

TEST_CASE("flush: no async destination is waited for; its file owes what it has not flushed") {
  Directory d;
  Rig rig(1, 20 * M, 100, saved_on_request(async), d.path());
  Broadcaster &broadcaster = rig.open();
  rig.write(0, B, byte(1));
  Rig::until([&] { return rig.state_of(0).find(" 0 bytes behind") != std::string::npos; });
  rig.servers[0]->target.at_once = false;
  broadcaster.flush([] {});
  CHECK(owes(d, "a", 0));
  rig.servers[0]->target.at_once = true;
  rig.servers[0]->target.answer_all();
}

TEST_CASE("flush: before a destination is lost the file owes what it has not flushed") {
  Directory d;
  Rig rig(2, 20 * M, 100, saved_on_request(never_again), d.path());
  Broadcaster &broadcaster = rig.open();
  rig.write(0, B, byte(1));
  CHECK(owes(d, "b", 0));
  const std::string away = d.path() + "-away";
  std::filesystem::rename(d.path(), away);
  rig.servers[1]->kill();
  CHECK(errnum_of_flush(broadcaster) == 0);
  CHECK_THROWS_AS(rig.write(16 * M, B, byte(2)), util::Error);  // nothing could owe it
  std::filesystem::rename(away, d.path());
  CHECK(owes(d, "b", 0));
  CHECK(!owes(d, "b", 16 * M));
}

#ifdef REPLICATE_SYNC_POINTS
TEST_CASE("flush: waits until the file owes a destination that is not the copy that it should be") {
  Directory d;
  copied_once(d);
  Rig rig(1, 20 * M, 100, {}, d.path());
  rig.primary.assign(rig.size, byte(1));
  durability::SyncPoint::Hold hold("fanout.loss_not_saved");
  Broadcaster &broadcaster = rig.open();
  hold.wait();
  std::atomic<bool> primary = false, right = false;
  testing::WaitingThread client([&] {
    broadcaster.flush([&] { primary = true; });
    right = owes(d, "a", 0) && owes(d, "a", 19 * M);
  });
  while (!primary) std::this_thread::yield();
  CHECK(client.waits());
  hold.release();
  client.join();
  CHECK(right);
}
#endif

TEST_CASE("flush: fails if the file cannot say that a destination is not the copy it should be") {
  Directory d;
  copied_once(d);
  Rig rig(1, 20 * M, 100, {}, d.path());
  rig.primary.assign(rig.size, byte(1));
  auto &target = rig.servers[0]->target;
  target.at_once = false;
  Broadcaster &broadcaster = rig.open();
  const std::string away = d.path() + "-away";
  std::filesystem::rename(d.path(), away);
  target.answer_until('r', [&] { return rig.said().find("not the copy") != std::string::npos; });
  // Flushes are answered. Copies are held.
  std::jthread answers([&](const std::stop_token &stop) {
    while (!stop.stop_requested()) {
      if (target.answer_all(0, 'f') == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::string what;
  CHECK(errnum_of_flush(broadcaster, &what) == ENOENT);
  CHECK_THAT(what, Catch::StartsWith("a: ") && Catch::Contains(d.path() + "/a.json") &&
                       Catch::Contains("No such file"));
  CHECK(errnum_of_flush(broadcaster) == ENOENT);  // as long as it is so

  SECTION("until the file can be written") {
    std::filesystem::rename(away, d.path());
    CHECK(errnum_of_flush(broadcaster) == 0);
    CHECK(owes(d, "a", 0));
    target.release();
  }
  SECTION("until the destination has everything") {
    target.release();
    Rig::until([&] { return rig.is(0, "live"); });
    // What was copied last may still be on its way when the state changes.
    Rig::until([&] { return errnum_of_flush(broadcaster) == 0; });
    std::filesystem::rename(away, d.path());
  }
  SECTION("no message says that a file owes what it does not") {
    rig.servers[0]->refuses = true;
    rig.servers[0]->kill();
    target.release();
    rig.close();
    CHECK_THAT(rig.said(), !Catch::Contains("owes them") && !Catch::Contains("owes more") &&
                               Catch::Contains("does not owe all of them"));
    std::filesystem::rename(away, d.path());
  }
}

TEST_CASE("FUA: a write fails if it has reached neither the destination nor the file") {
  Directory d;
  Rig rig(2, 20 * M, 100, saved_on_request(never_again), d.path());
  rig.open();
  const std::string away = d.path() + "-away";
  std::filesystem::rename(d.path(), away);
  rig.servers[0]->kill();
  CHECK_THROWS_AS(rig.write(0, B, byte(1), true), util::Error);
  std::filesystem::rename(away, d.path());
  rig.write(0, B, byte(1), true);
  CHECK(owes(d, "a", 0));
}

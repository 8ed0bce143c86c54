// SPDX-License-Identifier: BSD-3-Clause
//
// A layer below that loses what it was given, and says so once: to whoever flushes first.
#include <atomic>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using durability::SyncPoint;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

const Ranges all_is_owed{{5, 21}, {30, 11}, {60, 4}};

// What a thread that is not the test's own sees, which alone may assert.
template <typename F>
bool breaks(F &&f) {
  try {
    f();
  } catch (const Broken &) {
    return true;
  }
  return false;
}

template <typename F>
std::string error_of(F &&f) {
  try {
    f();
  } catch (const util::Error &e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a flush that fails loses also what was written after it had begun") {
  JobSetup s;
  s.start();
  auto client = s.join(), other = s.join();
  s.copy(*client, {5, 21});
  s.destination.before_flush = [&] { s.copy(*other, {60, 4}); };
  s.destination.loses = true;
  CHECK_THROWS_AS(client->flush(), Broken);
  ++s.ticks;
  client->flush();
  CHECK(s.state_is_true());
  CHECK(s.owed() == all_is_owed);
}

TEST_CASE(
    "a flush that fails loses what other connections have written, and each hears of it once") {
  for (bool covers_all : {true, false}) {
    JobSetup s;
    s.start();
    auto first = s.join(covers_all), second = s.join(covers_all);
    s.copy(*first, {5, 21});
    s.destination.loses = true;
    CHECK_THROWS_AS(second->flush(), Broken);
    auto later = s.join(covers_all);
    ++s.ticks;
    later->flush();  // it has nothing to lose
    CHECK_THROWS_WITH(first->flush(), Catch::Contains("an earlier flush"));
    ++s.ticks;
    first->flush();
    second->flush();
    CHECK(s.state_is_true());
    CHECK(s.owed() == all_is_owed);
    s.copy(*first, {5, 21});
    ++s.ticks;
    first->flush();
    CHECK(s.state_is_true());
    CHECK(s.owed() == Ranges{{30, 11}, {60, 4}});
  }
}

TEST_CASE("a request with FUA that fails loses what was written before, as a flush does") {
  for (bool native : {true, false}) {
    for (bool zeroes : {true, false}) {
      JobSetup s;
      s.destination.fua = native;
      s.start();
      auto first = s.join(), second = s.join();
      s.copy(*first, {5, 21});
      s.destination.loses = true;
      if (zeroes) {
        CHECK_THROWS_AS(second->zero({30, 11}, {.fua = true}), Broken);
      } else {
        CHECK_THROWS_AS(second->write(std::span(s.disk.bytes).subspan(60, 4), 60, true), Broken);
      }
      ++s.ticks;
      CHECK_THROWS_WITH(first->flush(), Catch::Contains("an earlier flush"));
      CHECK_THROWS_WITH(second->flush(), Catch::Contains("an earlier flush"));
      ++s.ticks;
      first->flush();
      CHECK(s.state_is_true());
      CHECK(s.owed() == all_is_owed);
    }
  }
}

TEST_CASE(
    "a flush that succeeds after another has failed, and before that is known, counts for "
    "nothing") {
  for (bool fua : {false, true}) {
    for (bool covers_all : {true, false}) {
      JobSetup s;
      s.destination.fua = true;
      s.start();
      auto first = s.join(covers_all), second = s.join(covers_all);
      s.copy(*first, {5, 21});
      s.copy(*second, {60, 4});
      s.destination.loses = true;
      SyncPoint::Hold failed("apply.flush_failed");
      bool is_broken = false;
      std::jthread one([&] {
        is_broken = breaks([&] { fua ? first->zero({30, 11}, {.fua = true}) : first->flush(); });
      });
      failed.wait();
      ++s.ticks;
      SyncPoint::Hold waits("apply.flush_waits");
      std::atomic<bool> done = false;
      std::string told;
      std::jthread two([&] {
        told = error_of([&] { second->flush(); });
        done = true;
      });
      while (!done && !waits.reached()) std::this_thread::yield();
      waits.release();
      failed.release();
      one.join();
      two.join();
      CHECK(is_broken);
      CHECK_THAT(told, Catch::Contains("an earlier flush"));
      ++s.ticks;
      if (fua) CHECK_THROWS_WITH(first->flush(), Catch::Contains("an earlier flush"));
      first->flush();
      CHECK(s.state_is_true());
      CHECK(s.owed() == all_is_owed);
    }
  }
}

TEST_CASE("data with FUA is not said to be durable where the flush of another has lost it") {
  JobSetup s;
  s.destination.fua = true;
  s.start();
  auto first = s.join(), second = s.join();
  s.copy(*first, {5, 21});
  s.destination.loses = true;
  SyncPoint::Hold failed("apply.flush_failed");
  bool is_broken = false;
  std::jthread one([&] { is_broken = breaks([&] { first->flush(); }); });
  failed.wait();
  SyncPoint::Hold waits("apply.flush_waits");
  std::atomic<bool> done = false;
  std::string told;
  std::jthread two([&] {
    told = error_of([&] { second->write(std::span(s.disk.bytes).subspan(60, 4), 60, true); });
    done = true;
  });
  while (!done && !waits.reached()) std::this_thread::yield();
  waits.release();
  failed.release();
  one.join();
  two.join();
  CHECK(is_broken);
  CHECK_THAT(told, Catch::Contains("an earlier flush"));
}

TEST_CASE("after a lost write nobody is said to have left early") {
  JobSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 21});
  s.copy(*client, {60, 4});
  s.destination.loses = true;
  CHECK_THROWS_AS(client->flush(), Broken);
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("a flush of the destination has failed") &&
                                          Catch::Contains("25 bytes are still owed"));
  CHECK(s.state_is_true());
}

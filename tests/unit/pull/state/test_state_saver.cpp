// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/state/state_saver.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/durable_calls.hpp"
#include "tests/unit/waiting_thread.hpp"

using durability::SyncPoint;
using extents::Range;
using pull::Presence;
using pull::StateSaver;

namespace {

struct Saved {
  Saved() {
    owed.add({0, 100});
    header.size = 100;
    header.checkpoint = "c1";
  }
  replication::State state() const { return *replication::load_state(path); }
  // What was fetched is durable.
  void fetch(Presence &presence, Range range) const {
    presence.fetched(range, presence.failed_flushes());
    presence.end_fetched_flush(presence.begin_fetched_flush(), Presence::Result::durable);
  }

  testing::Directory directory;
  const std::string path = directory.file("state");
  extents::RangeSet owed{100};
  replication::State header;
};

}  // namespace

TEST_CASE("the first save names the image; later ones say what is durable") {
  Saved s;
  Presence presence(s.owed);
  StateSaver saver(s.path, s.header, presence);
  saver.begin("uuid");
  CHECK(s.state().image == "uuid");
  CHECK(s.state().checkpoint == "c1");
  CHECK(s.state().pull == "unchanged");
  CHECK(s.state().owed == std::vector<Range>{{0, 100}});
  CHECK_FALSE(saver.is_behind());
  s.fetch(presence, {0, 40});
  CHECK(saver.is_behind());
  CHECK_FALSE(saver.is_saved({0, 40}));
  saver.save();
  CHECK(s.state().owed == std::vector<Range>{{40, 60}});
  CHECK(saver.is_saved({0, 40}));
  CHECK_FALSE(saver.is_saved({0, 41}));
  CHECK_FALSE(saver.is_behind());
}

TEST_CASE("nothing is written when nothing has changed") {
  Saved s;
  Presence presence(s.owed);
  StateSaver saver(s.path, s.header, presence);
  saver.begin("");
  testing::DurableCalls calls;
  saver.save();
  CHECK(calls.list().empty());
  saver.claim_written();
  const size_t once = calls.list().size();
  CHECK(once > 0);
  saver.claim_written();
  CHECK(calls.list().size() == once);
}

TEST_CASE(
    "the first change of a client is saved before it, and stays; a failure is told and tried "
    "again") {
  Saved s;
  Presence presence(s.owed);
  StateSaver saver(s.path, s.header, presence);
  saver.begin("");
  const std::string away = s.directory.path() + ".away";
  std::filesystem::rename(s.directory.path(), away);
  CHECK_THROWS_AS(saver.claim_written(), util::Error);
  CHECK_THROWS_AS(saver.claim_written(), util::Error);
  s.fetch(presence, {0, 40});
  CHECK_THROWS_AS(saver.save(), util::Error);
  CHECK(saver.is_behind());
  std::filesystem::rename(away, s.directory.path());
  CHECK(s.state().pull == "unchanged");
  saver.save();
  CHECK(s.state().pull == "unchanged");
  saver.claim_written();
  CHECK(s.state().pull == "written");
  s.fetch(presence, {40, 10});
  saver.save();
  CHECK(s.state().pull == "written");
  // Another server goes on with that.
  StateSaver next(s.path, s.state(), presence);
  next.begin("");
  CHECK(s.state().pull == "written");
}

TEST_CASE("a save that has begun does not cover what became durable after that") {
  Saved s;
  Presence presence(s.owed);
  StateSaver saver(s.path, s.header, presence);
  saver.begin("");
  s.fetch(presence, {0, 10});
  SyncPoint::Hold hold("pull.saving");
  std::jthread first([&] { saver.save(); });
  hold.wait();
  s.fetch(presence, {10, 10});
  std::jthread second([&] { saver.save(); });
  hold.release();
  second.join();
  CHECK(s.state().owed == std::vector<Range>{{20, 80}});
  first.join();
}

// The round of a save that waits as well must not be taken for that of the claim.
TEST_CASE("a change of a client is saved before it, whoever saves") {
  for (int i = 0; i < 20; ++i) {
    Saved s;
    Presence presence(s.owed);
    StateSaver saver(s.path, s.header, presence);
    saver.begin("");
    s.fetch(presence, {0, 10});
    SyncPoint::Hold hold("pull.saving");
    std::deque<testing::WaitingThread> threads;
    threads.emplace_back([&] { saver.save(); });
    hold.wait();
    s.fetch(presence, {10, 10});
    std::string found;
    for (int n = 0; n < 3; ++n) threads.emplace_back([&] { saver.save(); });
    threads.emplace_back([&] {
      saver.claim_written();
      found = s.state().pull;
    });
    for (auto &one : threads) CHECK(one.waits());
    hold.release();
    threads.clear();
    CHECK(found == "written");
  }
}

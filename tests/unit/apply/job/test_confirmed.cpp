// SPDX-License-Identifier: BSD-3-Clause
//
// A source that can say whether it still shows the instant of the start.
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

const Ranges whole_delta{{5, 21}, {30, 11}, {60, 4}};

struct ConfirmSetup : JobSetup {
  ConfirmSetup() {
    std::string text = description;
    text.insert(text.size() - 1, R"(,"confirm":"connection")");
    disk.description = text;
  }
  void vanish() {
    disk.confirm = [] { util::fail(ENOENT, "the snapshot is gone"); };
  }
  size_t told() {
    std::lock_guard guard(log_lock);
    size_t count = 0;
    for (const std::string &line : lines) {
      count += line.find("no longer shows the instant") != std::string::npos ? 1 : 0;
    }
    return count;
  }
};

}  // namespace

TEST_CASE("the source is asked before the state owes less, and not for what it has confirmed") {
  ConfirmSetup s;
  s.start();
  s.disk.confirm = [&] { CHECK(s.owed() == whole_delta); };
  auto client = s.join();
  client->flush();
  CHECK(s.disk.asked == 0);
  s.copy(*client, {5, 5});
  CHECK(s.disk.asked == 0);
  ++s.ticks;
  client->flush();
  CHECK(s.disk.asked == 1);
  CHECK(s.owed() == Ranges{{10, 16}, {30, 11}, {60, 4}});
  ++s.ticks;
  client->flush();
  CHECK(s.disk.asked == 1);
  s.disk.confirm = [&] { CHECK_FALSE(s.complete()); };
  s.copy(*client, {0, size});
  client->finish();
  CHECK(s.disk.asked == 2);
  CHECK(s.complete());
}

TEST_CASE("what is durable when the source no longer confirms it stays owed, and the run fails") {
  ConfirmSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 5});
  ++s.ticks;
  client->flush();
  s.copy(*client, {10, 16});
  s.vanish();
  ++s.ticks;
  CHECK_THROWS_WITH(client->flush(), Catch::Contains("no longer shows the instant") &&
                                         Catch::Contains("the snapshot is gone") &&
                                         Catch::Contains("run the same command again"));
  CHECK_THROWS_AS(s.copy(*client, {60, 4}), util::Error);
  CHECK_THROWS_AS(client->zero({30, 11}, {}), util::Error);
  CHECK_THROWS_AS(client->finish(), util::Error);
  CHECK_THROWS_WITH(s.join(), Catch::Contains("no longer shows"));
  CHECK(s.told() == 1);
  CHECK(s.disk.asked == 2);
  CHECK(s.owed() == Ranges{{10, 16}, {30, 11}, {60, 4}});
}

TEST_CASE("a copy is not complete unless the source confirms it at the end") {
  ConfirmSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  s.vanish();
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("no longer shows the instant"));
  CHECK(s.owed() == whole_delta);
  CHECK(s.told() == 1);

  ConfirmSetup empty;  // nothing has changed: the new checkpoint is complete at once
  empty.disk.map = extents::ExtentMap(size, extents::hole | extents::zero);
  empty.start();
  empty.vanish();
  CHECK_THROWS_WITH(empty.join()->finish(), Catch::Contains("no longer shows the instant"));
  CHECK_FALSE(replication::load_state(empty.path));
}

TEST_CASE("what is overwritten after it was confirmed is confirmed anew") {
  ConfirmSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 21});
  ++s.ticks;
  client->flush();
  CHECK(s.owed() == Ranges{{30, 11}, {60, 4}});
  // Cleared, so owed at once, without a question; then written with what the source shows later.
  s.vanish();
  client->zero({5, 5}, {});
  CHECK(s.owed() == Ranges{{5, 5}, {30, 11}, {60, 4}});
  s.copy(*client, {5, 5});
  ++s.ticks;
  CHECK_THROWS(client->flush());
  CHECK(s.owed() == Ranges{{5, 5}, {30, 11}, {60, 4}});
}

TEST_CASE("what is overwritten while the source is asked is not confirmed by that answer") {
  ConfirmSetup s;
  s.start();
  auto client = s.join(), other = s.join();
  s.copy(*client, {5, 21});
  ++s.ticks;
  {
    durability::SyncPoint::Hold hold("apply.confirmed");
    std::jthread asking([&] { client->flush(); });
    hold.wait();
    other->zero({5, 5}, {});  // no lock is held meanwhile
    s.copy(*other, {5, 5});
    other->flush();  // durable, but not confirmed
    hold.release();
  }
  CHECK(s.owed() == Ranges{{5, 5}, {30, 11}, {60, 4}});
  other->finish();
  s.copy(*client, {0, size});
  client->finish();
  CHECK(s.complete());
}

TEST_CASE("a source that cannot say is taken at its word") {
  JobSetup s;
  s.disk.confirm = [] { util::fail(ENOENT, "asked"); };
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  CHECK(s.complete());
  CHECK(s.disk.asked == 0);
}

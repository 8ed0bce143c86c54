// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <thread>

#include "common/util/file.hpp"
#include "tests/unit/apply/job/job_setup.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

TEST_CASE("a change that the source left out fails the run, and a full copy is owed") {
  for (uint64_t at : {0, 29, 45, 59}) {
    JobSetup s;
    s.settings.verify = 1;
    s.settings.background = false;
    s.disk.bytes[at] = new_byte;  // the view does not show this change
    s.start();
    auto client = s.join(), other = s.join();
    s.copy(*client, {0, size});
    client->flush();
    other->finish();
    INFO(at);
    CHECK_THROWS_WITH(client->finish(),
                      Catch::Contains("differs from the source at offset " + std::to_string(at)) &&
                          Catch::Contains("run the same command again"));
    auto state = replication::load_state(s.path);
    REQUIRE(state);
    CHECK(state->checkpoint.empty());
    CHECK(state->owed == Ranges{{0, size}});
    CHECK_THROWS_WITH(s.join(), Catch::Contains("full copy"));
    CHECK_THROWS_WITH(client->flush(), Catch::Contains("full copy"));
    CHECK_THROWS_WITH(s.copy(*client, {5, 1}), Catch::Contains("full copy"));
    CHECK_THROWS_WITH(client->zero({5, 1}, {}), Catch::Contains("full copy"));
    // A source that shows changes only is refused; one that shows the whole disk is not.
    client.reset();
    other.reset();
    s.job.reset();
    CHECK_THROWS_WITH(s.start(), Catch::Contains("since=@"));
    s.disk.description = R"({"nbdkit-replicate":1,"source":"test","vm":"v","disk":1,"size":64,)"
                         R"("mode":"full","checkpoint":"c2"})";
    s.disk.map.set({0, size}, extents::data);
    s.start();
    auto again = s.join();
    s.copy(*again, {0, size});
    again->finish();
    CHECK(s.complete());
    CHECK(s.destination.durable == s.disk.bytes);
  }
}

TEST_CASE("a difference that is found while a client is connected fails its requests") {
  JobSetup s;
  s.settings.verify = 1;
  s.disk.bytes[3] = new_byte;
  s.start();
  auto client = s.join();
  auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(10);
  bool told = false;
  while (!told && std::chrono::steady_clock::now() < deadline) {
    try {
      client->flush();
      std::this_thread::yield();
    } catch (const util::Error &e) {
      told = e.errnum() == EIO;
    }
  }
  CHECK(told);
  CHECK_THROWS(client->finish());
  CHECK(replication::load_state(s.path)->owed == Ranges{{0, size}});
}

TEST_CASE("nothing is compared after the end, though a client has not left") {
  JobSetup s;
  s.settings.verify = 1;
  s.start();
  std::atomic<bool> comparing = false, goes_on = false;
  s.disk.on_honest = [&] {
    comparing = true;
    goes_on.wait(false);
  };
  auto client = s.join();
  while (!comparing) std::this_thread::yield();
  testing::WaitingThread end([&] { s.job->finish(); });
  CHECK(end.waits());
  goes_on = true;
  goes_on.notify_all();
  end.join();
}

TEST_CASE("a source that left nothing out passes, and the delta is not compared") {
  for (bool background : {false, true}) {
    JobSetup s;
    s.settings.verify = 1;
    s.settings.background = background;
    s.settings.stats_path = s.directory.file("stats");
    s.start();
    auto client = s.join();
    s.copy(*client, {0, size});
    client->finish();
    CHECK(s.complete());
    client.reset();
    s.job.reset();
    auto stats = *util::read_file(s.settings.stats_path);
    CHECK_THAT(stats, Catch::Contains("nbdkit_apply_compared_bytes_total 28\n"));
    CHECK_THAT(stats, Catch::Contains("nbdkit_apply_failed 0\n"));
  }
}

TEST_CASE("blocks that cannot be compared are an error, and the state is that of a complete copy") {
  JobSetup s;
  s.settings.verify = 1;
  s.settings.background = false;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->flush();
  s.disk.gone = true;
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("the source is gone") &&
                                          Catch::Contains("the copy is complete") &&
                                          Catch::Contains("only 0 bytes"));
  CHECK(s.complete());

  JobSetup t;  // the destination cannot be read
  t.settings.verify = 1;
  t.start();
  t.destination.fail_read = true;
  auto reader = t.join();
  t.copy(*reader, {0, size});
  CHECK_THROWS_AS(reader->finish(), Broken);
  CHECK(t.complete());

  JobSetup map;  // the source is a map alone
  map.settings.verify = 0.5;
  map.disk.readable = false;
  CHECK_THROWS_WITH(map.start(),
                    Catch::Contains("apply-verify") && Catch::Contains("only its map"));
}

TEST_CASE("a copy that is not complete is not compared") {
  JobSetup s;
  s.settings.verify = 1;
  s.settings.background = false;
  s.disk.bytes[0] = new_byte;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 5});
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("left before"));
  CHECK(replication::load_state(s.path)->checkpoint == "c2");
}

TEST_CASE("without apply-verify a handful is compared where the source can be read") {
  JobSetup s;
  s.settings.verify.reset();
  s.settings.background = false;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  s.destination.now[0] = std::byte{0};  // emptied
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("differs from the source at offset 0"));
  CHECK(replication::load_state(s.path)->owed == Ranges{{0, size}});

  JobSetup map;  // the source is a map alone
  map.settings.verify.reset();
  map.disk.readable = false;
  map.start();
  auto other = map.join();
  map.copy(*other, {0, size});
  other->finish();
  CHECK(map.complete());

  JobSetup gone;  // the source is gone when it is to be compared
  gone.settings.verify.reset();
  gone.settings.background = false;
  gone.start();
  auto last = gone.join();
  gone.copy(*last, {0, size});
  last->flush();
  gone.disk.gone = true;
  CHECK_NOTHROW(last->finish());
  CHECK(gone.complete());
}

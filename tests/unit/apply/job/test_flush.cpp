// SPDX-License-Identifier: BSD-3-Clause
//
// What a flush and FUA make durable.
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

TEST_CASE("a flush covers what was answered before it was passed on, and nothing that came later") {
  JobSetup s;
  s.start();
  auto client = s.join(), other = s.join();
  s.copy(*client, {5, 21});
  ++s.ticks;
  s.destination.after_flush = [&] { s.copy(*other, {60, 4}); };
  client->flush();
  CHECK(s.owed() == Ranges{{30, 11}, {60, 4}});
  ++s.ticks;
  client->flush();
  CHECK(s.owed() == Ranges{{30, 11}});
}

TEST_CASE("a flush that covers one connection leaves what another one wrote owed") {
  for (bool covers_all : {false, true}) {
    JobSetup s;
    s.start();
    auto first = s.join(covers_all), second = s.join(covers_all);
    s.copy(*first, {5, 21});
    s.copy(*second, {60, 4});
    ++s.ticks;
    first->flush();
    CHECK(s.owed() == (covers_all ? Ranges{{30, 11}} : Ranges{{30, 11}, {60, 4}}));
    ++s.ticks;
    second->flush();
    CHECK(s.owed() == Ranges{{30, 11}});
  }
}

TEST_CASE("what a connection wrote and did not flush is owed if it ends without a word") {
  JobSetup s;
  s.start();
  auto first = s.join(false), second = s.join(false);
  s.copy(*first, {5, 21});
  first.reset();
  s.copy(*second, {60, 4});
  CHECK_THROWS_WITH(second->finish(), Catch::Contains("left before"));
  CHECK(s.owed() == Ranges{{5, 21}});
}

TEST_CASE("what a failed flush may have lost is owed, and nobody is said to have left early") {
  JobSetup s;
  s.start();
  s.lines.clear();  // that there is no state yet
  auto client = s.join();
  s.copy(*client, {0, 41});
  client->flush();
  s.copy(*client, {60, 4});
  s.destination.fail_flush = true;
  CHECK_THROWS_AS(client->finish(), Broken);
  CHECK(s.owed() == Ranges{{60, 4}});
  REQUIRE(s.lines.size() == 1);
  CHECK(s.lines[0] ==
        "4 bytes are still owed (apply-state=" + s.path + "): run the same command again");
  // The same server again, when it can be flushed.
  s.destination.fail_flush = false;
  client = s.join();
  s.copy(*client, {60, 4});
  client->finish();
  CHECK(s.complete());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("requests with FUA are passed on with FUA, or followed by one flush") {
  for (bool native : {true, false}) {
    for (bool fua : {true, false}) {
      JobSetup s;
      s.destination.fua = native;
      s.start();
      auto client = s.join();
      client->zero({0, size}, {.fua = fua});
      Content zeroed = s.destination.now;
      CHECK((s.destination.durable == zeroed) == fua);
      client->write(s.disk.bytes, 0, fua);
      CHECK((s.destination.durable == s.disk.bytes) == fua);
      CHECK(s.destination.flushes == (native || !fua ? 0 : 2));
      // Nothing of it is passed on.
      client->write(Content(5), 0, fua);
      CHECK(s.destination.flushes == (native || !fua ? 0 : 2));
    }
  }
}

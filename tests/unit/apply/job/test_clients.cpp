// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

TEST_CASE(
    "a client that copies the whole disk changes only the delta, and the state owes nothing") {
  JobSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  CHECK(s.owed() == Ranges{{5, 21}, {30, 11}, {60, 4}});
  client->flush();  // within the first second
  CHECK_FALSE(s.complete());
  ++s.ticks;
  client->flush();
  CHECK(s.complete());
  client->finish();
  CHECK(s.destination.durable == s.disk.bytes);

  JobSetup t;  // bytes outside the delta are dropped
  t.start();
  auto wild = t.join();
  wild->write(Content(5), 0, false);
  wild->zero({41, 19}, {});
  wild->zero({26, 4}, {});
  CHECK(t.destination.now == Content(size, old_byte));
  CHECK_FALSE(std::filesystem::exists(t.path));
}

TEST_CASE("zeroes that a client left out are written when it disconnects") {
  JobSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 15});
  s.copy(*client, {60, 4});
  client->finish();
  CHECK(s.complete());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("a client that leaves early is an error, and the next one can finish") {
  JobSetup s;
  s.start();
  {
    auto client = s.join();
    s.copy(*client, {0, 30});
    CHECK_THROWS_WITH(client->finish(), Catch::Contains("offset 60") &&
                                            Catch::Contains("4 bytes are still owed") &&
                                            Catch::Contains("run the same command again"));
  }
  CHECK(s.owed() == Ranges{{60, 4}});
  s.join()->finish();  // sends nothing: no error
  auto client = s.join();
  s.copy(*client, {60, 4});
  client->finish();
  CHECK(s.complete());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("the delta is completed after the last of several clients") {
  JobSetup s;
  s.start();
  auto first = s.join(), second = s.join();
  s.copy(*first, {5, 15});
  first->finish();
  CHECK_FALSE(s.complete());
  s.copy(*second, {60, 4});
  second->finish();
  CHECK(s.complete());
}

TEST_CASE("a completion stops for a client that waits, and what it left is done after that one") {
  JobSetup s;
  s.start();
  auto first = s.join();
  s.copy(*first, {5, 15});
  first->flush();
  std::unique_ptr<JobClient> second;
  std::jthread joining;
  bool began = false;
  s.destination.check = [&] {  // when the completion makes its first change
    if (std::exchange(began, true)) return;
    durability::SyncPoint::Hold waits("apply.gate_waits");
    joining = std::jthread([&] { second = s.join(); });
    waits.wait();
  };
  CHECK_NOTHROW(first->finish());
  joining.join();
  REQUIRE(second);
  CHECK(s.owed() == Ranges{{20, 6}, {60, 4}});
  CHECK_THROWS_WITH(second->finish(),
                    Catch::Contains("offset 60"));  // although it has sent nothing
  CHECK(s.owed() == Ranges{{60, 4}});
}

TEST_CASE("a client that has not left at the end is an error if something was sent") {
  const bool sends = GENERATE(false, true);
  JobSetup s;
  s.start();
  s.lines.clear();  // that there is no state yet
  auto first = s.join(), second = s.join();
  if (sends) s.copy(*first, {5, 15});
  first->finish();
  CHECK(s.lines.empty());
  s.job->finish();
  REQUIRE(s.lines.size() == (sends ? 1 : 0));
  if (sends) CHECK_THAT(s.lines[0], Catch::Contains("21 bytes are still owed"));
}

TEST_CASE("a client that fails before it has changed anything leaves the old state as it is") {
  JobSetup s;
  s.disk.map.set({30, 11}, extents::hole | extents::zero);  // else zeroes are written at the end
  const std::string old = R"({"nbdkit-replicate":1,"checkpoint":"c1","source":"test","vm":"v",)"
                          R"("disk":1,"size":64,"owed":[]})";
  std::ofstream(s.path) << old;
  s.start();
  auto client = s.join();
  client->zero({41, 19}, {});  // outside the delta
  CHECK_THROWS_WITH(client->finish(),
                    Catch::Contains("offset 5") && Catch::Contains("25 bytes are still owed"));
  CHECK(s.destination.now == Content(size, old_byte));
  std::ostringstream now;
  now << std::ifstream(s.path).rdbuf();
  CHECK(now.str() == old);
}

TEST_CASE("a client that sends nothing changes nothing, unless all that is missing is zero") {
  JobSetup s;
  s.start();
  s.join()->finish();
  s.disk.gone = true;
  s.join()->finish();
  CHECK_FALSE(std::filesystem::exists(s.path));
  CHECK(s.destination.now == Content(size, old_byte));

  JobSetup t;
  std::fill_n(t.disk.bytes.begin() + 5, 21, std::byte{0});
  std::fill_n(t.disk.bytes.begin() + 60, 4, std::byte{0});
  t.start();
  t.join()->finish();
  CHECK(t.complete());
  CHECK(t.destination.durable == t.disk.bytes);
}

TEST_CASE("nothing is written if the state cannot be saved first") {
  JobSetup s;
  s.start();
  std::filesystem::rename(s.directory.path(), s.directory.path() + ".away");
  auto client = s.join();
  CHECK_THROWS_AS(s.copy(*client, {0, size}), util::Error);
  CHECK_THROWS_AS(client->zero({0, size}, {}), util::Error);
  CHECK(s.destination.now == Content(size, old_byte));
  client.reset();
  std::filesystem::rename(s.directory.path() + ".away", s.directory.path());
}

TEST_CASE("a source that is gone at the end is an error that says how much is owed") {
  JobSetup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 15});
  s.disk.gone = true;
  CHECK_THROWS_WITH(client->finish(),
                    Catch::Contains("the source is gone; 10 bytes are still owed"));
  CHECK(s.owed() == Ranges{{20, 6}, {60, 4}});
}

TEST_CASE(
    "requests of no length do nothing, and requests beyond the end of the source are dropped") {
  JobSetup s(size + 10);
  s.start();
  auto client = s.join();
  client->write({}, 10, true);
  client->zero({10, 0}, {});
  client->write(Content(10), size, false);
  client->zero({size, 10}, {});
  CHECK(s.destination.now == Content(size + 10, old_byte));
  CHECK_FALSE(std::filesystem::exists(s.path));
}

// With a flush that covers all connections, and with one that covers its own only.
TEST_CASE(
    "overlapping requests of many connections leave only bytes that were sent, and none outside "
    "the delta") {
  for (bool covers_all : {true, false}) {
    JobSetup s;
    s.start();
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 8; ++t) {
      threads.emplace_back([&s, t, covers_all] {
        std::mt19937 random(t);
        auto client = s.join(covers_all);
        for (int i = 0; i < 100; ++i) {
          Range range{random() % size, 0};
          range.length = random() % (size - range.offset + 1);
          if (random() % 4 == 0) {
            client->zero(range, {});
          } else {
            client->write(Content(range.length, std::byte(t + 1)), range.offset, i % 10 == 0);
          }
          if (random() % 8 == 0) client->flush();
        }
        try {
          client->finish();
        } catch (const util::Error &) {  // data that was zeroed last is still owed
        }
      });
    }
    threads.clear();
    for (uint64_t i = 0; i < size; ++i) {
      bool in_delta = s.disk.map.at(i).type != 3;
      auto value = std::to_integer<unsigned>(s.destination.now[i]);
      INFO(i << ": " << value);
      CHECK((in_delta ? value <= 8 : value == 0xaa));
    }
  }
}

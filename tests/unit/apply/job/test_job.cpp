// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <random>
#include <thread>

#include "common/util/file.hpp"
#include "filters/apply/job/job.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

constexpr uint64_t size = 64;  // bytes: all that is done here is done at the precision of bytes
constexpr std::byte old_byte{0xaa};
constexpr std::byte new_byte{0xbb};

const char *description =
    R"({"nbdkit-replicate":1,"source":"test","vm":"v","disk":1,"size":64,"mode":"delta",)"
    R"("since":"c1","checkpoint":"c2"})";

// [5, 20) new data, [20, 26) data that is zero, [30, 41) zero, [60, 64) new data. Time passes
// with each change of the destination, so that every flush may save the state.
struct Setup {
  explicit Setup(uint64_t destination_size = size)
      : destination(Content(destination_size, old_byte)) {
    disk.map.set({5, 21}, extents::data);
    disk.map.set({30, 11}, extents::zero);
    disk.map.set({60, 4}, extents::data);
    disk.bytes.assign(size, old_byte);
    std::fill_n(disk.bytes.begin() + 5, 15, new_byte);
    std::fill_n(disk.bytes.begin() + 20, 6, std::byte{0});
    std::fill_n(disk.bytes.begin() + 30, 11, std::byte{0});
    std::fill_n(disk.bytes.begin() + 60, 4, new_byte);
    disk.description = description;
  }

  void start() {
    job = std::make_unique<Job>(std::make_unique<FakeSource>(disk), settings,
                                util::Log([this](util::Level level, const std::string &line) {
                                  if (level == util::Level::info) return;
                                  std::lock_guard guard(log_lock);
                                  lines.push_back(line);
                                }),
                                [this] { return epoch + std::chrono::seconds(10 * ticks); });
  }
  std::unique_ptr<Job::Client> join(bool flush_covers_all = true) {
    destination.covers_all = flush_covers_all;
    return job->join(destination);
  }
  // The source's own bytes, as a client sends them.
  void copy(Job::Client &client, Range range) {
    client.write(std::span(disk.bytes).subspan(range.offset, range.length), range.offset, false);
  }
  bool settled() {
    auto state = replication::load_state(path);
    return state && state->checkpoint == "c2" && state->owed.empty();
  }
  Ranges owed() { return replication::load_state(path)->owed; }

  // What the file does not owe is at the destination, in whatever way a crash leaves it.
  bool file_is_true() {
    auto state = replication::load_state(path);
    if (!state || state->checkpoint != "c2") {
      return destination.now == Content(destination.now.size(), old_byte);
    }
    extents::RangeSet owes(size);
    for (const Range &range : state->owed) owes.add(range);
    for (uint64_t i = 0; i < size; ++i) {
      bool there = destination.now[i] == disk.bytes[i] && destination.durable[i] == disk.bytes[i];
      if (!there && !owes.contains({i, 1})) return false;
    }
    return true;
  }

  Directory directory;
  std::string path = directory.file("state");
  Settings settings{path};
  FakeDisk disk{extents::ExtentMap(size, extents::hole | extents::zero)};
  FakeDestination destination;
  std::chrono::steady_clock::time_point epoch = std::chrono::steady_clock::now();
  std::atomic<int> ticks = 0;
  std::mutex log_lock;
  std::vector<std::string> lines;
  std::unique_ptr<Job> job;
};

}  // namespace

TEST_CASE("a client that copies everything: only the delta changes, the state is settled") {
  Setup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  CHECK(s.owed() == Ranges{{5, 21}, {30, 11}, {60, 4}});
  client->flush();  // within the first second
  CHECK_FALSE(s.settled());
  ++s.ticks;
  client->flush();
  CHECK(s.settled());
  client->finish();
  CHECK(s.destination.durable == s.disk.bytes);

  Setup t;  // and bytes that do not belong go nowhere
  t.start();
  auto wild = t.join();
  wild->write(Content(5), 0, false);
  wild->zero({41, 19}, {});
  wild->zero({26, 4}, {});
  CHECK(t.destination.now == Content(size, old_byte));
  CHECK_FALSE(std::filesystem::exists(t.path));
}

TEST_CASE("what a client leaves out is completed if it is zero") {
  Setup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 15});
  s.copy(*client, {60, 4});
  client->finish();
  CHECK(s.settled());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("a client that leaves early is told of, and the next one may finish") {
  Setup s;
  s.start();
  {
    auto client = s.join();
    s.copy(*client, {0, 30});
    CHECK_THROWS_WITH(client->finish(), Catch::Contains("offset 60") &&
                                            Catch::Contains("4 bytes are still owed") &&
                                            Catch::Contains("run the same command again"));
  }
  CHECK(s.owed() == Ranges{{60, 4}});
  s.join()->finish();  // only looks: no error
  auto client = s.join();
  s.copy(*client, {60, 4});
  client->finish();
  CHECK(s.settled());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("only the last of several clients completes") {
  Setup s;
  s.start();
  auto first = s.join(), second = s.join();
  s.copy(*first, {5, 15});
  first->finish();
  CHECK_FALSE(s.settled());
  s.copy(*second, {60, 4});
  second->finish();
  CHECK(s.settled());
}

TEST_CASE("a client that never says a word: nothing happens, unless all there is to do is zeroes") {
  Setup s;
  s.start();
  s.join()->finish();
  s.disk.gone = true;
  s.join()->finish();
  CHECK_FALSE(std::filesystem::exists(s.path));
  CHECK(s.destination.now == Content(size, old_byte));

  Setup t;
  std::fill_n(t.disk.bytes.begin() + 5, 21, std::byte{0});
  std::fill_n(t.disk.bytes.begin() + 60, 4, std::byte{0});
  t.start();
  t.join()->finish();
  CHECK(t.settled());
  CHECK(t.destination.durable == t.disk.bytes);
}

TEST_CASE("nothing may be written before the state is") {
  Setup s;
  s.start();
  std::filesystem::create_directory(s.path + ".tmp");
  auto client = s.join();
  CHECK_THROWS_AS(s.copy(*client, {0, size}), util::Error);
  CHECK_THROWS_AS(client->zero({0, size}, {}), util::Error);
  CHECK(s.destination.now == Content(size, old_byte));
}

TEST_CASE("a source that is gone at the end: the error says so and what is owed") {
  Setup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 15});
  s.disk.gone = true;
  CHECK_THROWS_WITH(client->finish(),
                    Catch::Contains("the source is gone; 10 bytes are still owed"));
  CHECK(s.owed() == Ranges{{20, 6}, {60, 4}});
}

TEST_CASE("a flush that fails at the end leaves everything owed that it may have lost") {
  Setup s;
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  s.destination.fail_flush = true;
  CHECK_THROWS(client->finish());
  CHECK(s.owed() == Ranges{{5, 21}, {30, 11}, {60, 4}});
}

TEST_CASE("durable writes are passed on so, or followed by a flush") {
  for (bool native : {true, false}) {
    Setup s;
    s.destination.fua = native;
    s.start();
    auto client = s.join();
    client->write(s.disk.bytes, 0, true);
    CHECK(s.destination.durable == s.disk.bytes);
    client->zero({30, 11}, {.fua = true});
    CHECK(s.destination.durable == s.disk.bytes);
  }
}

TEST_CASE("what does not fit together is refused before anything is written") {
  Setup small(size - 1);
  small.start();
  CHECK_THROWS_WITH(small.join(), Catch::Contains("63 bytes") && Catch::Contains("64"));
  Setup large(size + 10);
  large.start();
  auto client = large.join();
  client->write(Content(size + 10), 0, false);
  CHECK(large.destination.now[size] == old_byte);

  Setup s;
  auto state = [&](const replication::State &old) {
    replication::save_state(s.path, old);
    s.job.reset();
    s.start();
  };
  CHECK_NOTHROW(state({"c1", "test", "v", 1, size, {{5, 1}, {60, 4}}}));
  CHECK_NOTHROW(state({"c2", "test", "v", 1, size, {}}));
  CHECK_NOTHROW(state({"c1", "", "", 0, size, {}}));
  CHECK_THROWS_WITH(state({"c1", "test", "w", 1, size, {}}), Catch::Contains("disk 1"));
  CHECK_THROWS_WITH(state({"c0", "test", "v", 1, size, {}}), Catch::Contains("since=@"));
  CHECK_THROWS_WITH(state({"c1", "test", "v", 1, size, {{4, 1}}}), Catch::Contains("delta-owed="));
  state({"c1", "test", "v", 1, size, {}});
  CHECK_THROWS_WITH(Job(std::make_unique<FakeSource>(s.disk), s.settings, util::Log()),
                    Catch::Contains("another server"));
}

TEST_CASE("a source that does not say what it is leaves no checkpoint, but keeps a known disk") {
  Setup s;
  s.disk.description = "my disk";
  replication::save_state(s.path, {"c1", "test", "v", 1, size, {}});
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  auto state = replication::load_state(s.path);
  CHECK(state->checkpoint.empty());
  CHECK(state->vm == "v");
  CHECK(state->owed.empty());
}

// Clients do anything in any order, layers fail, and after every single step a crash would leave a
// file that owes at least what is missing.
TEST_CASE("the file is true at any instant") {
  std::mt19937 random(GENERATE(1u, 2u, 3u, 4u, 5u, 6u));
  auto below = [&](uint64_t n) {
    return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
  };
  Setup s;
  s.start();
  bool covers_all = below(2) == 0;
  int steps = 0, lies = 0;
  s.destination.check = [&] {
    ++steps;
    ++s.ticks;
    lies += s.file_is_true() ? 0 : 1;
  };
  std::vector<std::unique_ptr<Job::Client>> clients;
  for (int i = 0; i < 150; ++i) {
    if (clients.empty() || below(12) == 0) clients.push_back(s.join(covers_all));
    auto &client = clients[below(clients.size())];
    Range range{below(size), 0};
    range.length = 1 + below(size - range.offset);
    s.destination.fail_in = below(8) == 0 ? 0 : -1;
    s.destination.fail_flush = below(10) == 0;
    try {
      switch (below(6)) {
        case 0:
        case 1:
          s.copy(*client, range);
          break;
        case 2:
          client->zero(range, {});
          break;
        case 3:
        case 4:
          // Where flushes cover one connection only, this destination would still settle all.
          client->flush();
          break;
        case 5: {
          auto leaving = std::move(client);
          leaving->finish();
          break;
        }
      }
    } catch (const Broken &) {
    } catch (const util::Error &) {
    }
    std::erase(clients, nullptr);
    s.destination.check();
  }
  CHECK(steps > 150);
  CHECK(lies == 0);
  // In the end, whatever has been: one good copy settles it.
  clients.clear();
  s.destination.fail_in = -1;
  s.destination.fail_flush = false;
  auto last = s.join();
  s.copy(*last, {0, size});
  last->finish();
  CHECK(s.settled());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("the file is true at any instant, with many threads") {
  Setup s;
  s.start();
  std::atomic<int> lies = 0;
  s.destination.check = [&] {
    ++s.ticks;
    lies += s.file_is_true() ? 0 : 1;
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&s, t] {
      std::mt19937 random(t);
      for (int round = 0; round < 4; ++round) {
        auto client = s.join();
        try {
          for (int i = 0; i < 15; ++i) {
            Range range{random() % size, 0};
            range.length = 1 + random() % (size - range.offset);
            auto what = random() % 5;
            if (what < 2) s.copy(*client, range);
            if (what == 2) client->zero(range, {});
            if (what > 2) client->flush();
          }
          client->finish();
        } catch (const util::Error &) {  // it left early
        }
      }
    });
  }
  threads.clear();
  CHECK(lies == 0);
  auto last = s.join();
  s.copy(*last, {0, size});
  last->finish();
  CHECK(s.settled());
  CHECK(s.destination.durable == s.disk.bytes);
}

// --- The bytes outside the delta.

TEST_CASE("a lying source is found out: no request is served, the state owes a full copy") {
  for (uint64_t at : {0, 29, 45, 59}) {
    Setup s;
    s.settings.verify = 1;
    s.settings.background = false;
    s.disk.bytes[at] = new_byte;  // and the view does not show it
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
    // Which a source that shows changes alone cannot give; one that shows all of it can.
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
    CHECK(s.settled());
    CHECK(s.destination.durable == s.disk.bytes);
  }
}

TEST_CASE("beside the copy: a client that is still there is told") {
  Setup s;
  s.settings.verify = 1;
  s.disk.bytes[3] = new_byte;
  s.start();
  auto client = s.join();
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
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

TEST_CASE("an honest source passes, and what is in the delta is not compared") {
  for (bool background : {false, true}) {
    Setup s;
    s.settings.verify = 1;
    s.settings.background = background;
    s.settings.stats_path = s.directory.file("stats");
    s.start();
    auto client = s.join();
    s.copy(*client, {0, size});
    client->finish();
    CHECK(s.settled());
    client.reset();
    s.job.reset();
    auto stats = *util::read_file(s.settings.stats_path);
    CHECK_THAT(stats, Catch::Contains("nbdkit_apply_compared_bytes_total 28\n"));
    CHECK_THAT(stats, Catch::Contains("nbdkit_apply_failed 0\n"));
  }
}

TEST_CASE("what cannot be compared is an error; the copy and its state are true all the same") {
  Setup s;
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
  CHECK(s.settled());

  Setup t;  // the destination
  t.settings.verify = 1;
  t.start();
  t.destination.fail_read = true;
  auto reader = t.join();
  t.copy(*reader, {0, size});
  CHECK_THROWS_AS(reader->finish(), Broken);
  CHECK(t.settled());

  Setup map;  // a map alone
  map.settings.verify = 0.5;
  map.disk.readable = false;
  CHECK_THROWS_WITH(map.start(),
                    Catch::Contains("apply-verify") && Catch::Contains("only its map"));
}

TEST_CASE("a copy that is not complete is not verified: it is run again anyhow") {
  Setup s;
  s.settings.verify = 1;
  s.settings.background = false;
  s.disk.bytes[0] = new_byte;
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 5});
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("left before"));
  CHECK(replication::load_state(s.path)->checkpoint == "c2");
}

// --- Names, sizes, numbers.

TEST_CASE("a state that has another destination's name is refused") {
  Setup s;
  auto with = [&](const std::string &name) {
    s.job.reset();
    s.settings.destination = name;
    s.start();
    auto client = s.join();
    s.copy(*client, {0, size});
    client->finish();
    client.reset();
    return replication::load_state(s.path)->destination;
  };
  CHECK(with("").empty());
  CHECK(with("dr") == "dr");  // from now on
  CHECK(with("dr") == "dr");
  CHECK_THROWS_WITH(with("cloud"), Catch::Contains("\"dr\"") &&
                                       Catch::Contains("apply-destination=cloud") &&
                                       Catch::Contains("remove it to start with a full copy"));
  CHECK_THROWS_WITH(with(""), Catch::Contains("\"dr\"") && Catch::Contains("was not given"));
}

TEST_CASE("a destination that wants larger blocks than the delta has is refused") {
  Setup s;
  s.start();
  s.destination.block = 512;
  CHECK_THROWS_WITH(s.join(), Catch::Contains("nbdkit-blocksize-filter"));
  CHECK_FALSE(std::filesystem::exists(s.path));
}

TEST_CASE("requests of no length do nothing, and those beyond the end are dropped") {
  Setup s(size + 10);
  s.start();
  auto client = s.join();
  client->write({}, 10, true);
  client->zero({10, 0}, {});
  client->write(Content(10), size, false);
  client->zero({size, 10}, {});
  CHECK(s.destination.now == Content(size + 10, old_byte));
  CHECK_FALSE(std::filesystem::exists(s.path));
}

TEST_CASE("progress is told, and the statistics say the same") {
  Setup s;
  std::vector<std::string> lines;
  s.settings.stats_path = s.directory.file("stats");
  s.job = std::make_unique<Job>(
      std::make_unique<FakeSource>(s.disk), s.settings,
      util::Log([&](util::Level, const std::string &line) { lines.push_back(line); }));
  auto client = s.join();
  s.copy(*client, {0, 30});
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 21 of 36 bytes of the delta are covered, 36 bytes are owed; 1 clients");
  client->flush();
  client->zero({0, size}, {});  // takes away what is data
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 11 of 36 bytes of the delta are covered, 36 bytes are owed; 1 clients");
  s.copy(*client, {0, size});
  client->flush();
  client->finish();
  client.reset();
  s.job->tick();
  CHECK(lines.back() ==
        "apply: 36 of 36 bytes of the delta are covered, 0 bytes are owed; 0 clients");
  auto count = lines.size();
  s.job->tick();
  CHECK(lines.size() == count);  // nothing has changed, nobody is there
  auto stats = *util::read_file(s.settings.stats_path);
  for (const char *line :
       {"nbdkit_apply_delta_bytes 36\n", "nbdkit_apply_covered_bytes 36\n",
        "nbdkit_apply_owed_bytes 0\n", "nbdkit_apply_written_bytes_total 57\n",
        "nbdkit_apply_zeroed_bytes_total 36\n", "nbdkit_apply_dropped_bytes_total 65\n",
        "# TYPE nbdkit_apply_dropped_bytes_total counter\n"}) {
    INFO(stats);
    CHECK_THAT(stats, Catch::Contains(line));
  }
  s.settings.stats_path = "/nonexistent/stats";
  s.job.reset();
  CHECK_THROWS_WITH(s.start(), Catch::Contains("apply-stats"));
}

// Requests that overlap, on many connections at the same time, of which some flush for all and some
// for themselves: whatever the order, bytes outside the delta stay, and inside is one of the values
// that were sent there.
TEST_CASE("overlapping requests on many connections at once, byte by byte") {
  for (bool covers_all : {true, false}) {
    Setup s;
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
        } catch (const util::Error &) {  // data that was zeroed last is missing
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

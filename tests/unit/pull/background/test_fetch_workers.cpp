// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/background/fetch_workers.hpp"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "common/util/error.hpp"
#include "tests/unit/pull/fakes.hpp"

using namespace pull;

namespace {

constexpr uint64_t size = 4 << 20;

int niceness() {
  return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
}

// Notes how nice the threads are that read it, which are all alike.
class NotingRemote : public testing::FakeRemote {
 public:
  void read(std::span<std::byte> buffer, uint64_t offset, Waiting waiting) override {
    seen = niceness();
    FakeRemote::read(buffer, offset, waiting);
  }
  std::atomic<int> seen = 0;
};

// The background of a disk that is owed whole.
struct Background {
  explicit Background(testing::FakeRemote &source, std::unique_ptr<testing::FakeLocal> below =
                                                       std::make_unique<testing::FakeLocal>(size))
      : remote(source), local(std::move(below)) {
    map.end();
  }
  void start(const util::Log &log = {}) {
    workers.emplace(settings, size, FetchWorkers::Parts{presence, fetcher, map, nullptr}, log);
  }
  static extents::RangeSet whole() {
    extents::RangeSet owed(size);
    owed.add({0, size});
    return owed;
  }
  uint64_t missing() { return presence.missing_bytes(); }

  Settings settings;
  testing::FakeRemote &remote;
  Presence presence{whole()};
  extents::RangeLock changes;
  std::unique_ptr<testing::FakeLocal> local;
  Memory memory{settings.memory};
  Counters counters;
  ChunkFetcher fetcher{presence, changes, *local, remote, memory, counters};
  SourceMap map{size, false};
  std::optional<FetchWorkers> workers;
};

// How nice they are in fetching all of a disk.
int niceness_of_workers(bool copy) {
  NotingRemote remote;
  Background background(remote);
  background.settings.copy = copy;
  background.start();
  while (background.missing() > 0) std::this_thread::yield();
  return remote.seen;
}

}  // namespace

TEST_CASE("the background gives way to clients, which a copy does not have") {
  CHECK(niceness_of_workers(true) == niceness());
  CHECK(niceness_of_workers(false) > niceness());
}

// What the layer below throws is no util::Error: nbdkit has reported it.
TEST_CASE("when the layer below has failed, the rest is not read from the source for nothing") {
  struct Full : testing::FakeLocal {
    using FakeLocal::FakeLocal;
    void write(std::span<const std::byte>, uint64_t, bool) override {
      throw std::runtime_error("no room");
    }
  };
  struct Remote : testing::FakeRemote {
    bool is_given_up() const override {  // is asked whenever there may be work
      ++looks;
      return false;
    }
    mutable std::atomic<int> looks = 0;
  };
  Remote remote;
  Background background(remote, std::make_unique<Full>(size));
  background.settings.patience.retry_max = std::chrono::hours(1);
  background.settings.workers = 1;
  background.start();
  while (remote.looks < 6) std::this_thread::yield();
  CHECK(remote.reads == 1);
  CHECK(background.missing() == size);
}

// In these tests the layer below cannot write the first chunk, such as where a disk has a bad block.
TEST_CASE("a chunk that the layer below cannot write does not keep the others from being fetched") {
  struct Bad : testing::FakeLocal {
    using FakeLocal::FakeLocal;
    void write(std::span<const std::byte> bytes, uint64_t offset, bool durable) override {
      if (offset < bad) throw std::runtime_error("input/output error");
      FakeLocal::write(bytes, offset, durable);
    }
    uint64_t bad = Settings().chunk;
  };
  // With two of them the second one has failed when the first one may be tried again.
  const uint64_t number = GENERATE(1, 2);
  testing::FakeRemote remote;
  auto below = std::make_unique<Bad>(size);
  const uint64_t bad = below->bad *= number;
  Background background(remote, std::move(below));
  background.settings.patience.retry_max = std::chrono::milliseconds(1);
  background.settings.workers = 1;
  background.start();
  while (background.missing() > bad) std::this_thread::yield();
  CHECK(background.presence.here({bad, size - bad}));
}

TEST_CASE("a chunk that the source does not give is the next one when it may be tried again") {
  struct Remote : testing::FakeRemote {
    void read(std::span<std::byte> buffer, uint64_t offset, Waiting waiting) override {
      offsets.push_back(offset);
      if (offsets.size() == 1) throw util::Error(EIO, "a bad block");
      FakeRemote::read(buffer, offset, waiting);
    }
    std::vector<uint64_t> offsets;  // the one worker's
  };
  Remote remote;
  Background background(remote);
  background.settings.patience.retry_max = {};
  background.settings.workers = 1;
  background.start();
  while (background.missing() > 0) std::this_thread::yield();
  background.workers.reset();
  REQUIRE(remote.offsets.size() > 2);
  CHECK(remote.offsets[0] == 0);
  CHECK(remote.offsets[1] == 0);
}

TEST_CASE("what another thread stores after all says that the layer below has not failed") {
  std::atomic<bool> other = false, told = false;
  struct Bad : testing::FakeLocal {
    Bad(std::atomic<bool> &o, std::atomic<bool> &t) : FakeLocal(size), other(o), told(t) {}
    void write(std::span<const std::byte> bytes, uint64_t offset, bool durable) override {
      if (offset == 0) {
        other.wait(false);
        throw std::runtime_error("input/output error");
      }
      other = true;
      other.notify_all();
      told.wait(false);
      FakeLocal::write(bytes, offset, durable);
    }
    std::atomic<bool> &other, &told;
  };
  testing::FakeRemote remote;
  Background background(remote, std::make_unique<Bad>(other, told));
  background.settings.patience.retry_max = std::chrono::hours(1);
  background.settings.workers = 2;
  background.start(util::Log([&](util::Level, const std::string &) {
    told = true;
    told.notify_all();
  }));
  while (background.missing() > background.settings.chunk) std::this_thread::yield();
  CHECK_FALSE(background.presence.here({0, background.settings.chunk}));
}

TEST_CASE("further connections to the source are made only while there is something to fetch") {
  struct Remote : testing::FakeRemote {
    void add_connections() override { ++added; }
    std::atomic<int> added = 0;
  };
  for (const uint64_t chunks : {1, 4}) {
    Remote remote;
    Background background(remote);
    background.settings.chunk = size / chunks;
    background.settings.workers = 1;
    background.start();
    while (background.missing() > 0) std::this_thread::yield();
    background.workers.reset();
    CHECK(static_cast<uint64_t>(remote.added) == chunks - 1);
  }
}

TEST_CASE(
    "while the source is given up one thread connects, whatever the rate, and none has a chunk") {
  testing::FakeRemote remote;
  Background background(remote);
  background.settings.rate = 1;  // a byte a second: one chunk, and no other while the test lasts
  background.start();
  while (background.missing() == size || background.presence.is_fetched_now({0, size}))
    std::this_thread::yield();
  remote.given_up = true;
  while (remote.connects == 0) std::this_thread::yield();
  CHECK(background.presence.missing({0, size}).size() == 1);
  CHECK_FALSE(background.presence.is_fetched_now({0, size}));
  CHECK(remote.reads == 1);
  remote.given_up = false;
  remote.given_up.notify_all();
  CHECK(remote.connects == 1);
}

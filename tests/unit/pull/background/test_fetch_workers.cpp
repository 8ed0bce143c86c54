// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/background/fetch_workers.hpp"

#include <sys/resource.h>

#include <catch2/catch.hpp>

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

// How nice they are in fetching all of a disk.
int niceness_of_workers(bool copy) {
  extents::RangeSet owed(size);
  owed.add({0, size});
  Presence presence{owed};
  extents::RangeLock changes;
  testing::FakeLocal local{size};
  NotingRemote remote;
  Settings settings;
  settings.copy = copy;
  Memory memory{settings.memory};
  Counters counters;
  ChunkFetcher fetcher{presence, changes, local, remote, memory, counters};
  SourceMap map{size, false};
  map.end();
  std::atomic<bool> all_is_here = false;
  presence.when_all_is_here([&] {
    all_is_here = true;
    all_is_here.notify_all();
  });
  FetchWorkers workers(settings, size, {presence, fetcher, map, nullptr}, {});
  all_is_here.wait(false);
  return remote.seen;
}

}  // namespace

TEST_CASE("the background gives way to clients, which a copy does not have") {
  CHECK(niceness_of_workers(true) == niceness());
  CHECK(niceness_of_workers(false) > niceness());
}

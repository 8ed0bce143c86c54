// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>

#include "filters/apply/verify/verify_schedule.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;

namespace {

constexpr uint64_t K = 1024;

}  // namespace

TEST_CASE("a destination with a minimum block size is read in whole blocks") {
  FakeDisk disk{extents::ExtentMap(200 * K + 100, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(204 * K + 4096));
  destination.block = 4096;
  DeltaView view{DeltaMap(disk.map), ""};
  uint64_t differs = 0;
  VerifySchedule schedule(fake, view, 1, 1, VerifySchedule::Failures::errors,
                          [&](uint64_t offset) { differs = offset; }, {});
  disk.bytes.back() = std::byte{1};
  schedule.advance(destination, [] { return false; });
  CHECK(differs == 200 * K + 99);
}

TEST_CASE(
    "one client at a time has a background thread, which ends with it; the rest is compared "
    "later") {
  FakeDisk disk{extents::ExtentMap(16 << 20, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(16 << 20));
  DeltaView view{DeltaMap(disk.map), ""};
  std::atomic<int> differs = 0;
  VerifySchedule schedule(fake, view, 1, 1, VerifySchedule::Failures::errors,
                          [&](uint64_t) { ++differs; }, {});
  {
    auto first = schedule.run_in_background(destination);
    CHECK(first);
    CHECK_FALSE(schedule.run_in_background(destination));
  }
  CHECK(schedule.compared_bytes() <= view.map.size());
  auto again = schedule.run_in_background(destination);
  again.reset();
  schedule.advance(destination, [] { return false; });
  CHECK(schedule.finished());
  CHECK(schedule.compared_bytes() == view.map.size());
  CHECK(differs == 0);
  CHECK_FALSE(schedule.run_in_background(destination));
}

TEST_CASE("a difference is told once, and nothing is compared after it") {
  FakeDisk disk{extents::ExtentMap(200 * K, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(200 * K));
  DeltaView view{DeltaMap(disk.map), ""};
  int told = 0;
  VerifySchedule schedule(fake, view, 1, 1, VerifySchedule::Failures::errors,
                          [&](uint64_t) { ++told; }, {});
  disk.bytes[0] = std::byte{1};
  for (int i = 0; i < 3; ++i) schedule.advance(destination, [] { return false; });
  CHECK(told == 1);
  CHECK_FALSE(schedule.finished());
  CHECK_FALSE(schedule.run_in_background(destination));
}

TEST_CASE("where a failure ends it, it is said once and is no error") {
  FakeDisk disk{extents::ExtentMap(200 * K, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(200 * K));
  DeltaView view{DeltaMap(disk.map), ""};
  std::vector<std::string> lines;
  VerifySchedule schedule(
      fake, view, 1, 1, VerifySchedule::Failures::end_it, [](uint64_t) { FAIL("differs"); },
      util::Log([&](util::Level, const std::string &line) { lines.push_back(line); }));
  disk.gone = true;
  CHECK_NOTHROW(schedule.advance(destination, [] { return false; }));
  CHECK_NOTHROW(schedule.advance(destination, [] { return false; }));
  CHECK(schedule.finished());
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Catch::Contains("the source is gone"));
}

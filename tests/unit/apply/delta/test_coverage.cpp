// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/extents/extent_map.hpp"
#include "filters/apply/delta/coverage.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

// [0, 100) data, [100, 200) outside, [200, 300) zero, [300, 310) a hole that is not zero.
extents::ExtentMap view() {
  extents::ExtentMap map(400, extents::hole | extents::zero);
  map.set({0, 100}, extents::data);
  map.set({200, 100}, extents::zero);
  map.set({300, 10}, extents::hole);
  return map;
}

struct Setup {
  DeltaMap map{view()};
  Coverage coverage{map};
  Coverage::Scope scope = coverage.open();

  void arrive(Range range, Effect effect = Effect::delivers, bool succeeds = true) {
    coverage.end(coverage.begin(range, effect), scope, succeeds);
  }
  void flush(bool succeeds = true) { coverage.end_flush(coverage.begin_flush(scope), succeeds); }
};

}  // namespace

TEST_CASE("at first the whole delta is owed") {
  DeltaMap map{view()};
  CHECK(Coverage(map).owed() == Ranges{{0, 100}, {200, 110}});
}

TEST_CASE("a byte is owed until a flush that began after its write has succeeded") {
  Setup s;
  CHECK(s.coverage.owed() == Ranges{{0, 100}, {200, 110}});
  s.arrive({0, 40});
  CHECK(s.coverage.owed() == Ranges{{0, 100}, {200, 110}});
  auto flush = s.coverage.begin_flush(s.scope);
  s.arrive({50, 50});  // too late for this flush
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed() == Ranges{{40, 60}, {200, 110}});
  CHECK(s.coverage.pending(s.scope));
  s.flush();
  CHECK(s.coverage.owed() == Ranges{{40, 10}, {200, 110}});
  CHECK_FALSE(s.coverage.pending(s.scope));
}

TEST_CASE("a flush does not cover a request that is under way when it begins") {
  Setup s;
  auto op = s.coverage.begin({0, 100}, Effect::delivers);
  auto flush = s.coverage.begin_flush(s.scope);
  s.coverage.end(op, s.scope, true);
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE(
    "a flush makes nothing of another scope durable, and a scope that is closed loses what is "
    "pending") {
  Setup s;
  auto other = s.coverage.open();
  s.arrive({0, 100});
  s.coverage.end_flush(s.coverage.begin_flush(other), true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.coverage.close(s.scope);
  s.coverage.end_flush(s.coverage.begin_flush(other), true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE("a request or a flush that fails leaves its bytes missing") {
  Setup s;
  s.arrive({0, 100});
  s.flush(false);
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.flush();
  CHECK(s.coverage.owed().front() == Range{0, 100});  // the failed flush may have lost it
  s.arrive({0, 100});
  s.flush();
  s.arrive({10, 10}, Effect::delivers, false);
  CHECK(s.coverage.owed() == Ranges{{10, 10}, {200, 110}});
}

TEST_CASE(
    "zeroes where the source has data make bytes missing, also while they are being flushed") {
  Setup s;
  s.arrive({0, 100});
  s.flush();
  s.arrive({10, 10}, Effect::clears);
  CHECK(s.coverage.owed().front() == Range{10, 10});
  s.arrive({10, 10});
  auto flush = s.coverage.begin_flush(s.scope);
  s.arrive({15, 5}, Effect::clears);
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed().front() == Range{15, 5});
}

TEST_CASE("a write and zeroes that overlap in time conflict: the bytes stay missing") {
  for (bool write_begins : {true, false}) {
    for (bool write_ends : {true, false}) {
      Setup s;
      auto effect = [](bool write) { return write ? Effect::delivers : Effect::clears; };
      auto first = s.coverage.begin({0, 50}, effect(write_begins));
      auto second = s.coverage.begin({0, 50}, effect(!write_begins));
      auto write = write_begins ? first : second, zero = write_begins ? second : first;
      s.coverage.end(write_ends ? write : zero, s.scope, true);
      s.coverage.end(write_ends ? zero : write, s.scope, true);
      s.flush();
      CHECK(s.coverage.owed().front() == Range{0, 100});
    }
  }
  Setup s;  // where they do not overlap there is no conflict
  auto zero = s.coverage.begin({50, 10}, Effect::clears);
  s.arrive({0, 50});
  s.coverage.end(zero, s.scope, true);
  s.flush();
  CHECK(s.coverage.owed().front() == Range{50, 50});
}

TEST_CASE("a write that fails conflicts with another that is under way") {
  Setup s;
  auto bad = s.coverage.begin({0, 50}, Effect::delivers);
  auto good = s.coverage.begin({0, 50}, Effect::delivers);
  s.coverage.end(bad, s.scope, false);
  s.coverage.end(good, s.scope, true);
  s.flush();
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE("zeroes over bytes marked as zeroed leave them there; a failure or other data does not") {
  Setup s;
  s.coverage.mark_zeroed({0, 100}, s.scope);
  s.flush();
  s.arrive({0, 100}, Effect::clears);
  CHECK(s.coverage.owed().front() == Range{200, 110});
  s.arrive({0, 10}, Effect::clears, false);
  CHECK(s.coverage.owed().front() == Range{0, 10});
  s.arrive({20, 10});  // not marked as zeroed any more
  s.flush();
  s.arrive({20, 20}, Effect::clears);  // so zeroes there make them missing
  CHECK(s.coverage.owed() == Ranges{{0, 10}, {20, 10}, {200, 110}});
}

TEST_CASE("a flush that fails makes missing what is under way, and what other scopes have") {
  Setup s;
  auto other = s.coverage.open();
  s.coverage.end(s.coverage.begin({0, 10}, Effect::delivers), other, true);
  auto before = s.coverage.begin({20, 10}, Effect::delivers);
  auto concurrent = s.coverage.begin_flush(other);
  s.flush(false);
  auto after = s.coverage.begin({40, 10}, Effect::delivers);
  s.coverage.end(before, s.scope, true);
  s.coverage.end(after, s.scope, true);
  CHECK(!s.coverage.end_flush(concurrent, true));
  CHECK(s.coverage.end_flush(s.coverage.begin_flush(s.scope), true));
  CHECK(s.coverage.end_flush(s.coverage.begin_flush(other), true));
  CHECK(s.coverage.owed() == Ranges{{0, 40}, {50, 50}, {200, 110}});
  CHECK(s.coverage.arrived_bytes() == 10);
}

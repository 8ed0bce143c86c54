// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

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
  Mask mask{view()};
  Coverage coverage{mask};
  Coverage::Stream stream = coverage.open();

  void arrive(Range range, bool settles = true, bool succeeds = true) {
    coverage.end(coverage.begin(range, settles), stream, succeeds);
  }
  void flush(bool succeeds = true) { coverage.end_flush(coverage.begin_flush(stream), succeeds); }
};

}  // namespace

TEST_CASE("the mask splits a range into what is outside, data and zero") {
  Mask mask(view());
  auto pieces = [&](Range range) {
    std::vector<Piece> list;
    mask.for_each(range, [&](const Piece &piece) { return list.push_back(piece), true; });
    return list;
  };
  CHECK(pieces({50, 400}) == std::vector<Piece>{{{50, 50}, Kind::data},
                                                {{100, 100}, Kind::outside},
                                                {{200, 100}, Kind::zero},
                                                {{300, 10}, Kind::data},
                                                {{310, 90}, Kind::outside},
                                                {{400, 50}, Kind::outside}});
  CHECK(pieces({500, 5}) == std::vector<Piece>{{{500, 5}, Kind::outside}});
  CHECK(mask.delta_bytes() == 210);
  CHECK(Coverage(mask).owed() == Ranges{{0, 100}, {200, 110}});
  Mask nothing(extents::ExtentMap(100, extents::hole | extents::zero));
  CHECK(nothing.delta_bytes() == 0);
  CHECK(Mask().at(0).kind == Kind::outside);
}

TEST_CASE("what has arrived is owed until a flush that began later has returned") {
  Setup s;
  CHECK(s.coverage.owed() == Ranges{{0, 100}, {200, 110}});
  s.arrive({0, 40});
  CHECK(s.coverage.owed() == Ranges{{0, 100}, {200, 110}});
  auto flush = s.coverage.begin_flush(s.stream);
  s.arrive({50, 50});  // too late for this flush
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed() == Ranges{{40, 60}, {200, 110}});
  CHECK(s.coverage.pending(s.stream));
  s.flush();
  CHECK(s.coverage.owed() == Ranges{{40, 10}, {200, 110}});
  CHECK_FALSE(s.coverage.pending(s.stream));
}

TEST_CASE("a request still on its way when a flush begins is not in it") {
  Setup s;
  auto op = s.coverage.begin({0, 100}, true);
  auto flush = s.coverage.begin_flush(s.stream);
  s.coverage.end(op, s.stream, true);
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE(
    "a flush of one stream settles nothing of another, and a stream that ends loses its own") {
  Setup s;
  auto other = s.coverage.open();
  s.arrive({0, 100});
  s.coverage.end_flush(s.coverage.begin_flush(other), true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.coverage.close(s.stream);
  s.coverage.end_flush(s.coverage.begin_flush(other), true);
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE("what fails is missing, whatever was there") {
  Setup s;
  s.arrive({0, 100});
  s.flush(false);
  CHECK(s.coverage.owed().front() == Range{0, 100});
  s.flush();
  CHECK(s.coverage.owed().front() == Range{0, 100});  // the failed flush may have lost it
  s.arrive({0, 100});
  s.flush();
  s.arrive({10, 10}, true, false);
  CHECK(s.coverage.owed() == Ranges{{10, 10}, {200, 110}});
}

TEST_CASE("zeroes where the source has data make bytes missing, also those being flushed") {
  Setup s;
  s.arrive({0, 100});
  s.flush();
  s.arrive({10, 10}, false);
  CHECK(s.coverage.owed().front() == Range{10, 10});
  s.arrive({10, 10});
  auto flush = s.coverage.begin_flush(s.stream);
  s.arrive({15, 5}, false);
  s.coverage.end_flush(flush, true);
  CHECK(s.coverage.owed().front() == Range{15, 5});
}

TEST_CASE("a write and zeroes at the same time prove nothing, whichever began and ended first") {
  for (bool write_begins : {true, false}) {
    for (bool write_ends : {true, false}) {
      Setup s;
      auto first = s.coverage.begin({0, 50}, write_begins);
      auto second = s.coverage.begin({0, 50}, !write_begins);
      auto write = write_begins ? first : second, zero = write_begins ? second : first;
      s.coverage.end(write_ends ? write : zero, s.stream, true);
      s.coverage.end(write_ends ? zero : write, s.stream, true);
      s.flush();
      CHECK(s.coverage.owed().front() == Range{0, 100});
    }
  }
  Setup s;  // apart from each other they do no harm
  auto zero = s.coverage.begin({50, 10}, false);
  s.arrive({0, 50});
  s.coverage.end(zero, s.stream, true);
  s.flush();
  CHECK(s.coverage.owed().front() == Range{50, 50});
}

TEST_CASE("a write that fails while another is on its way spoils it") {
  Setup s;
  auto bad = s.coverage.begin({0, 50}, true);
  auto good = s.coverage.begin({0, 50}, true);
  s.coverage.end(bad, s.stream, false);
  s.coverage.end(good, s.stream, true);
  s.flush();
  CHECK(s.coverage.owed().front() == Range{0, 100});
}

TEST_CASE("zeroes over what is proven zero take nothing away, a failure or other data does") {
  Setup s;
  s.coverage.prove_zero({0, 100}, s.stream);
  s.flush();
  s.arrive({0, 100}, false);
  CHECK(s.coverage.owed().front() == Range{200, 110});
  s.arrive({0, 10}, false, false);
  CHECK(s.coverage.owed().front() == Range{0, 10});
  s.arrive({20, 10});  // the client's word is data now
  s.flush();
  s.arrive({20, 20}, false);  // so zeroes there are not proven any more
  CHECK(s.coverage.owed() == Ranges{{0, 10}, {20, 10}, {200, 110}});
}

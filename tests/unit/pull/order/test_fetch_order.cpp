// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/order/fetch_order.hpp"

#include <catch2/catch.hpp>

#include "common/extents/extent_map.hpp"
#include "common/extents/range_set.hpp"

using extents::Range;
using namespace pull;
using Why = ChunkJob::Why;

namespace {

constexpr uint64_t chunk = 100, size = 1050;

struct View : DiskView {
  View() { absent.add({0, size}); }
  Range first_missing(Range within) const override {
    auto list = absent.ranges(within);
    return list.empty() ? Range{within.end(), 0} : list.front();
  }
  bool is_fetched_now(Range range) const override { return now.intersects(range); }
  uint64_t known() const override { return told; }
  extents::Extent source_at(uint64_t offset) const override {
    auto e = source.at(offset);
    return {offset, e.end() - offset, e.type};
  }
  extents::RangeSet absent{size}, now{size};
  extents::ExtentMap source{size};
  uint64_t told = size;
};

const auto start = FetchOrder::Clock::time_point{} + std::chrono::hours(1);

}  // namespace

TEST_CASE("waited for, priority, ahead of a reader, the rest") {
  View view;
  FetchOrder order(size, chunk, {{800, 150}}, 200);
  order.note_read({300, 10});
  order.note_read({310, 10});
  order.want({550, 100});
  auto take = [&](ChunkJob expected) {
    auto job = order.next(view, start, true);
    REQUIRE(job);
    CHECK(*job == expected);
    view.now.add(job->range);
  };
  take({{500, 100}, Why::waited_for, false});
  take({{600, 100}, Why::waited_for, false});
  take({{800, 100}, Why::priority, false});
  take({{900, 100}, Why::priority, false});
  take({{300, 100}, Why::ahead, false});
  take({{400, 100}, Why::ahead, false});
  CHECK_FALSE(order.next(view, start, false));
  take({{0, 100}, Why::rest, false});
  take({{100, 100}, Why::rest, false});
  take({{200, 100}, Why::rest, false});
  take({{700, 100}, Why::rest, false});
  take({{1000, 50}, Why::rest, false});
  CHECK_FALSE(order.next(view, start, true));
}

TEST_CASE("zeroes of the source are one job; the rest waits for its map") {
  View view;
  view.source.set({150, 500}, extents::hole | extents::zero);
  view.told = 0;
  FetchOrder order(size, chunk, {}, 200);
  CHECK_FALSE(order.next(view, start, true));
  view.told = 700;
  view.absent.subtract({0, 150});
  CHECK(order.next(view, start, true) == ChunkJob{{150, 500}, Why::rest, true});
  view.absent.subtract({150, 500});
  CHECK(order.next(view, start, true) == ChunkJob{{600, 100}, Why::rest, false});
  view.absent.subtract({600, 100});
  CHECK_FALSE(order.next(view, start, true));
}

TEST_CASE("a chunk that failed is left for a while; what is lost again is found again") {
  View view;
  view.absent.subtract({200, size});
  FetchOrder order(size, chunk, {}, 200);
  order.defer(50, start + std::chrono::seconds(1));
  CHECK(order.next(view, start, true)->range == Range{100, 100});
  CHECK(order.next(view, start + std::chrono::seconds(1), true)->range == Range{0, 100});
  order.defer(50, start + std::chrono::seconds(1));
  view.absent.subtract({100, 100});
  CHECK_FALSE(order.next(view, start, true));
  CHECK(order.next(view, start + std::chrono::seconds(1), true)->range == Range{0, 100});
  view.absent.subtract({0, 100});
  CHECK_FALSE(order.next(view, start + std::chrono::seconds(2), true));
  view.absent.add({100, 100});
  CHECK(order.next(view, start + std::chrono::seconds(2), true)->range == Range{100, 100});
}

TEST_CASE(
    "a chunk that failed and is to be the last is that, also where only what is urgent is asked "
    "for") {
  View view;
  view.absent.subtract({200, size});
  FetchOrder order(size, chunk, {}, 200);
  const auto later = start + std::chrono::seconds(1);
  order.defer(50, later, true);
  CHECK_FALSE(order.next(view, later, false));
  CHECK(order.next(view, later, true)->range == Range{100, 100});
  view.absent.subtract({100, 100});
  CHECK_FALSE(order.next(view, later - std::chrono::milliseconds(1), true));
  CHECK(order.next(view, later, true)->range == Range{0, 100});
}

TEST_CASE("a single read is no reader; two that follow each other are, in any order") {
  ReadingStreams streams(50);
  CHECK_FALSE(streams.note({100, 10}));
  streams.note({500, 10});
  CHECK(streams.ends().empty());
  CHECK(streams.note({90, 10}));
  CHECK(streams.ends() == std::vector<uint64_t>{110});
  streams.note({520, 10});
  CHECK(streams.ends() == std::vector<uint64_t>{530, 110});
  CHECK_FALSE(streams.note({505, 10}));  // it comes no further
}

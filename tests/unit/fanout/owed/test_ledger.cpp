// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "filters/fanout/owed/ledger.hpp"
#include "tests/unit/fanout/owed/runs.hpp"
#include "tests/unit/fanout/sizes.hpp"

using fanout::B;
using fanout::DirtyMap;
using fanout::Ledger;
using fanout::Range;
using Route = Ledger::Route;

TEST_CASE("a direct request that arrives leaves nothing owed, one that does not its blocks") {
  Ledger ledger(100 * B);
  CHECK(ledger.durable());
  auto a = ledger.begin({B, 10}, Route::direct);
  auto b = ledger.begin({5 * B, B + 1}, Route::direct);
  ledger.end(a, true, false);
  CHECK(ledger.settled());
  CHECK(!ledger.durable());
  ledger.end(b, false, false);
  CHECK(!ledger.settled());
  CHECK(ledger.owed_bytes() == 2 * B);
  CHECK(runs(ledger.missing()) == std::vector<Range>{{5 * B, 2 * B}});
  CHECK(runs(ledger.at_risk()) == std::vector<Range>{{B, B}, {5 * B, 2 * B}});
}

TEST_CASE("a deferred request's blocks are dirty when it is over, also if it failed") {
  Ledger ledger(100 * B);
  auto a = ledger.begin({3 * B, B}, Route::deferred);
  CHECK(!ledger.anything_dirty());
  CHECK(!ledger.settled());
  CHECK(!ledger.next_copy(B));
  CHECK(runs(ledger.missing()) == std::vector<Range>{{3 * B, B}});
  ledger.end(a, true, true);
  CHECK(ledger.anything_dirty());
}

TEST_CASE("no request is direct where a block is dirty, being copied or deferred") {
  Ledger ledger(100 * B);
  ledger.owe({B, B});
  CHECK(!ledger.may_go_direct({B + 5, 1}));
  CHECK(ledger.may_go_direct({0, B}));
  auto copy = *ledger.next_copy(B);
  CHECK(!ledger.may_go_direct({B + 5, 1}));
  ledger.end(copy, true, false);
  CHECK(ledger.may_go_direct({B + 5, 1}));
  auto deferred = ledger.begin({B + 100, 1}, Route::deferred);
  CHECK(!ledger.may_go_direct({B + 5, 1}));
  ledger.end(deferred, true, false);
  CHECK(!ledger.may_go_direct({B + 5, 1}));
}

TEST_CASE("a block that is written while it is copied is copied again, after the write") {
  Ledger ledger(100 * B);
  ledger.owe({0, 4 * B});
  auto copy = *ledger.next_copy(4 * B);
  auto write = ledger.begin({2 * B, 1}, Route::deferred);
  ledger.end(copy, true, false);
  CHECK(!ledger.settled());
  CHECK(!ledger.next_copy(B));  // not while the write is under way
  ledger.end(write, true, false);
  auto again = *ledger.next_copy(4 * B);
  CHECK(again->range == Range{2 * B, B});
  ledger.end(again, true, false);
  CHECK(ledger.settled());
}

TEST_CASE("become_copy: a deferred request of whole blocks that nothing else touches") {
  Ledger ledger(10 * B + 7);
  ledger.owe({B, 2 * B});
  auto copy = ledger.begin({B, B}, Route::deferred);
  REQUIRE(ledger.become_copy(copy));
  CHECK(ledger.owed_bytes() == 2 * B);  // the one that is copied, and the one that still is dirty
  CHECK(!ledger.may_go_direct({B, 1}));
  CHECK(!ledger.settled());
  CHECK(runs(ledger.missing()) == std::vector<Range>{{B, 2 * B}});

  // What is written meanwhile is copied once more.
  auto again = ledger.begin({B, B}, Route::deferred);
  CHECK(!ledger.become_copy(again));
  ledger.end(again, true, false);
  ledger.end(copy, true, false);
  CHECK(runs(ledger.missing()) == std::vector<Range>{{B, 2 * B}});

  auto beside = ledger.begin({5 * B, 1}, Route::direct);
  for (Range part : {Range{4 * B, B + 1}, Range{4 * B + 1, B - 1}, Range{4 * B, 2 * B}}) {
    auto id = ledger.begin(part, Route::deferred);
    CHECK(!ledger.become_copy(id));  // a part of a block, or beside another
    ledger.end(id, true, false);
  }
  ledger.end(beside, true, false);
  auto last = ledger.begin({9 * B, B + 7}, Route::deferred);
  CHECK(ledger.become_copy(last));  // the end of the disk
  ledger.end(last, false, false);
  CHECK(!ledger.may_go_direct({10 * B, 7}));
}

TEST_CASE("a block that was written while it is copied is not copied twice at a time") {
  Ledger ledger(100 * B);
  ledger.owe({0, B});
  auto copy = *ledger.next_copy(B);
  auto write = ledger.begin({0, 1}, Route::deferred);
  ledger.end(write, true, false);
  CHECK(!ledger.next_copy(B));  // the older data could come last
  ledger.end(copy, true, false);
  CHECK(ledger.next_copy(B).has_value());
}

TEST_CASE("copies skip busy blocks, and come back to them") {
  Ledger ledger(100 * B);
  ledger.owe({0, 10 * B});
  auto busy = ledger.begin({3 * B, 2 * B}, Route::deferred);
  auto first = *ledger.next_copy(100 * B);
  CHECK(first->range == Range{0, 3 * B});
  auto second = *ledger.next_copy(100 * B);
  CHECK(second->range == Range{5 * B, 5 * B});
  CHECK(!ledger.next_copy(B));
  ledger.end(busy, true, false);
  auto third = *ledger.next_copy(100 * B);
  CHECK(third->range == Range{3 * B, 2 * B});
}

TEST_CASE("copies are in order; a failed one is left for the next pass") {
  Ledger ledger(10 * B + 5);
  ledger.owe({0, 10 * B + 5});
  CHECK(ledger.owed_bytes() == 10 * B + 5);
  auto first = *ledger.next_copy(4 * B);
  ledger.end(first, false, false);
  auto second = *ledger.next_copy(4 * B);
  CHECK(second->range == Range{4 * B, 4 * B});
  auto last = *ledger.next_copy(4 * B);
  CHECK(last->range == Range{8 * B, 2 * B + 5});
  CHECK(ledger.owed_bytes() == 10 * B + 5);
  CHECK(!ledger.next_copy(4 * B));
  CHECK(ledger.next_copy(4 * B).value()->range == Range{0, 4 * B});
}

TEST_CASE("lost(): what was not flushed is dirty again") {
  Ledger ledger(100 * B);
  auto arrives = [&](uint64_t block, bool durable) {
    ledger.end(ledger.begin({block * B, 1}, Route::direct), true, durable);
  };
  arrives(1, false);
  auto done = ledger.begin_flush();
  arrives(2, false);
  ledger.end_flush(done, true);
  arrives(3, true);
  auto under_way = ledger.begin_flush();
  arrives(4, false);
  CHECK(!ledger.durable());
  ledger.end_flush(ledger.begin_flush(), true);
  CHECK(!ledger.flushed());  // a flush that is under way has made nothing durable yet
  ledger.end(ledger.begin({4 * B, 1}, Route::direct), true, false);
  ledger.lost();
  CHECK(runs(ledger.missing()) == std::vector<Range>{{2 * B, B}, {4 * B, B}});
  ledger.end_flush(under_way, false);
  CHECK(ledger.owed_bytes() == 2 * B);
}

TEST_CASE("reserve: only clean blocks; one that differs is owed") {
  Ledger ledger(100 * B);
  ledger.owe({0, B});
  auto direct = ledger.begin({B, 1}, Route::direct);
  CHECK(!ledger.reserve({0, B}));
  CHECK(!ledger.reserve({B, B}));
  ledger.end(direct, true, true);
  auto look = ledger.reserve({B, B});
  REQUIRE(look);
  CHECK(!ledger.may_go_direct({B, 1}));
  ledger.end(*look, false, true);
  CHECK(ledger.owed_bytes() == 2 * B);
}

// Requests and copies that begin and end at random, over a primary and a destination of which each
// block holds the number of its last write.
TEST_CASE("random order of requests and copies: the destination ends up equal", "[single]") {
  constexpr uint64_t blocks = 12;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Ledger ledger(blocks * B);
    std::vector<int> primary(blocks), destination(blocks);
    struct Action {
      Ledger::Id id;
      uint64_t first, end;
      int value;
      std::vector<int> read;
    };
    std::vector<Action> under_way;
    int number = 0;
    bool calm = false;
    for (int i = 0; i < 400 || !under_way.empty() || !ledger.settled(); ++i) {
      REQUIRE(i < 5000);
      calm = i >= 400;
      unsigned what = random() % 10;
      if (what < 3 && !calm && under_way.size() < 5) {
        uint64_t first = random() % blocks,
                 end = first + 1 + random() % std::min<uint64_t>(3, blocks - first);
        bool clash = false;  // overlapping requests of clients are kept apart elsewhere
        for (const Action &a : under_way) {
          if (a.id->route != Route::copy && a.first < end && first < a.end) clash = true;
        }
        if (clash) continue;
        Range range{first * B, (end - first) * B};
        bool direct = random() % 2 == 0 && ledger.may_go_direct(range);
        under_way.push_back({ledger.begin(range, direct ? Route::direct : Route::deferred),
                             first,
                             end,
                             ++number,
                             {}});
        for (uint64_t b = first; b < end; ++b) primary[b] = number;
        continue;
      }
      if (what < 5) {
        if (auto id = ledger.next_copy((1 + random() % 3) * B)) {
          Range r = (*id)->range;
          Action a{*id, r.offset / B, r.end() / B, 0, {}};
          for (uint64_t b = a.first; b < a.end; ++b) a.read.push_back(primary[b]);
          under_way.push_back(a);
        }
        continue;
      }
      if (under_way.empty()) continue;
      size_t n = random() % under_way.size();
      Action a = under_way[n];
      under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(n));
      bool arrived = random() % 4 != 0;
      if (a.id->route != Route::deferred) {
        // What did not arrive may have done so in part.
        for (uint64_t b = a.first; b < a.end; ++b) {
          if (arrived || random() % 2 == 0) {
            destination[b] = a.id->route == Route::copy ? a.read[b - a.first] : a.value;
          }
        }
      }
      ledger.end(a.id, arrived, false);
    }
    REQUIRE(primary == destination);
  }
}

TEST_CASE("at_risk(): also what is under way, and what has arrived and is not flushed") {
  Ledger ledger(1u << 20);
  auto direct = ledger.begin({0, 1}, Ledger::Route::direct);
  CHECK(ledger.missing().empty());
  CHECK(ledger.at_risk().contains({0, 1}));
  ledger.end(direct, true, false);
  CHECK(ledger.missing().empty());
  CHECK(ledger.at_risk().contains({0, 1}));
  auto flush = ledger.begin_flush();
  CHECK(ledger.at_risk().contains({0, 1}));
  ledger.end_flush(flush, true);
  CHECK(ledger.at_risk().empty());
}

TEST_CASE("a failed flush: all that was not flushed is lost, and what is under way") {
  Ledger ledger(100 * B);
  ledger.end(ledger.begin({0, B}, Route::direct), true, false);
  auto failing = ledger.begin_flush();
  ledger.end(ledger.begin({10 * B, B}, Route::direct), true, false);
  auto other = ledger.begin_flush();
  ledger.end(ledger.begin({20 * B, B}, Route::direct), true, false);
  auto direct = ledger.begin({30 * B, B}, Route::direct);
  ledger.owe({40 * B, B});
  auto copy = *ledger.next_copy(B);
  auto durable = ledger.begin({50 * B, B}, Route::direct);
  auto comparison = *ledger.reserve({60 * B, B});
  CHECK(!ledger.end_flush(failing, false));
  CHECK(!ledger.end_flush(other, true));
  CHECK(!ledger.end(direct, true, false));
  CHECK(!ledger.end(copy, true, false));
  CHECK(!ledger.end(durable, true, true));
  CHECK(ledger.end(comparison, true, true));
  CHECK(ledger.flushed());
  CHECK(
      runs(ledger.missing()) ==
      std::vector<Range>{{0, B}, {10 * B, B}, {20 * B, B}, {30 * B, B}, {40 * B, B}, {50 * B, B}});
  CHECK(ledger.end_flush(ledger.begin_flush(), true));
}

TEST_CASE("what becomes a copy after a loss is sent after it") {
  Ledger ledger(100 * B);
  auto id = ledger.begin({0, B}, Route::deferred);
  ledger.lost();
  REQUIRE(ledger.become_copy(id));
  CHECK(ledger.end(id, true, false));
  CHECK(ledger.settled());
}

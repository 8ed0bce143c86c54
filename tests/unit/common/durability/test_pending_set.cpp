// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "common/durability/pending_set.hpp"

namespace {

struct Numbers {
  std::set<int> all;
  void add(int n) { all.insert(n); }
  void add(const Numbers &other) { all.insert(other.all.begin(), other.all.end()); }
  void subtract(int n) { all.erase(n); }
  bool empty() const { return all.empty(); }
};

using Set = durability::PendingSet<Numbers>;
using List = std::set<int>;

}  // namespace

TEST_CASE("a flush covers what was added before it began, and nothing that comes later") {
  Set set;
  set.add(1);
  auto flush = set.begin_flush();
  set.add(2);
  CHECK(set.covered(flush).all == List{1});
  CHECK(set.at_risk().all == List{1, 2});
  CHECK(set.end_flush(flush, true).all == List{1});
  CHECK(set.at_risk().all == List{2});
  CHECK(!set.durable());
}

TEST_CASE("what a failed flush covered is pending again, and the next flush covers it") {
  Set set;
  set.add(1);
  auto failed = set.begin_flush();
  CHECK(set.end_flush(failed, false).empty());
  CHECK(set.at_risk().all == List{1});
  auto flush = set.begin_flush();
  CHECK(set.end_flush(flush, true).all == List{1});
  CHECK(set.durable());
}

TEST_CASE("an older flush that fails after a newer one has succeeded leaves its own pending") {
  Set set;
  set.add(1);
  auto older = set.begin_flush();
  set.add(2);
  auto newer = set.begin_flush();
  set.end_flush(newer, true);
  CHECK(!set.durable());
  set.end_flush(older, false);
  CHECK(set.at_risk().all == List{1});
}

TEST_CASE("an older flush that returns late takes nothing back that a newer one has made durable") {
  Set set;
  auto older = set.begin_flush();
  set.add(1);
  auto newer = set.begin_flush();
  set.end_flush(newer, true);
  CHECK(set.durable());
  set.end_flush(older, true);
  CHECK(set.durable());
}

TEST_CASE(
    "what is lost is all that was not durable, and a flush that ends later covers nothing of it") {
  Set set;
  set.add(1);
  auto flush = set.begin_flush();
  set.add(2);
  CHECK(set.lost().all == List{1, 2});
  CHECK(set.end_flush(flush, true).empty());
  CHECK(set.durable());
}

TEST_CASE("what is taken out is in no flush any more") {
  Set set;
  set.add(1);
  auto flush = set.begin_flush();
  set.add(2);
  set.subtract(1);
  set.subtract(2);
  CHECK(set.at_risk().empty());
  CHECK(set.end_flush(flush, true).empty());
}

TEST_CASE(
    "threads that add and flush: each number becomes durable once its own flush has returned") {
  Set set;
  util::Mutex mutex;
  std::set<int> durable;
  std::atomic<int> missing = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < 500; ++i) {
          int mine = t * 1000 + i;
          set.add(mine);
          // A flush may have taken it meanwhile and still be under way: then the next one does not cover
          // it, as a sync of the kernel does not have to wait for another one. Succeed only when it is in.
          for (bool there = false; !there;) {
            auto flush = set.begin_flush();
            bool good = random() % 4 != 0;
            Numbers covered = set.end_flush(flush, good);
            util::MutexLock lock(mutex);
            durable.insert(covered.all.begin(), covered.all.end());
            there = durable.count(mine) == 1 || !good || set.at_risk().all.count(mine) == 0;
          }
        }
      });
    }
  }
  auto last = set.begin_flush();
  Numbers rest = set.end_flush(last, true);
  durable.insert(rest.all.begin(), rest.all.end());
  for (int t = 0; t < 4; ++t) {
    for (int i = 0; i < 500; ++i) missing += durable.count(t * 1000 + i) == 1 ? 0 : 1;
  }
  CHECK(missing == 0);
  CHECK(set.durable());
}

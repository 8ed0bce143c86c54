// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "plugins/qcow2/compressed/partial_clusters.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace qcow2;
using testing::random_bytes;

namespace {

using Bytes = std::vector<std::byte>;

}  // namespace

TEST_CASE("a partial cluster knows what was put, in any order") {
  PartialCluster partial(3, 1000);
  partial.put(random_bytes(100, 1), 200);
  partial.put(random_bytes(100, 2), 400);
  CHECK(partial.known().size() == 2);
  CHECK(partial.gaps({0, 1000}) == std::vector<extents::Range>{{0, 200}, {300, 100}, {500, 500}});
  CHECK(partial.gaps({250, 100}) == std::vector<extents::Range>{{300, 50}});
  CHECK(partial.gaps({210, 50}).empty());
  partial.put(random_bytes(100, 3), 300);  // touches both
  CHECK(partial.known() == std::vector<extents::Range>{{200, 300}});
  partial.put({}, 600);
  CHECK(partial.known().size() == 1);
  CHECK_FALSE(partial.is_whole(500));
  partial.put(random_bytes(200, 3), 0);
  CHECK(partial.is_whole(500));
  CHECK_FALSE(partial.is_whole(501));

  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    PartialCluster other(0, 300);
    std::vector<bool> model(300);
    for (int i = 0; i < 20; ++i) {
      size_t at = random() % 300, n = random() % (300 - at) % 30 + 1;
      other.put(Bytes(n, std::byte(i)), at);
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), n, true);
      std::vector<bool> known(300, true);
      for (auto gap : other.gaps({0, 300})) {
        std::fill_n(known.begin() + static_cast<std::ptrdiff_t>(gap.offset), gap.length, false);
      }
      CHECK(known == model);
    }
  }
}

TEST_CASE("partial clusters are bounded, owned by one thread, and the oldest is completed first") {
  PartialClusters partial(1024, 3 * 1024);
  CHECK(partial.is_empty());
  CHECK_FALSE(partial.own(5));
  for (uint64_t c : {5u, 6u, 7u}) partial.own_or_add(c).value()->put(Bytes(10), 0);
  partial.own_or_add(5).value()->put(Bytes(10), 20);
  CHECK_FALSE(partial.own_or_add(8));
  CHECK(partial.clusters(0, 7) == std::vector<uint64_t>{5, 6});
  {
    auto oldest = partial.own_oldest();
    CHECK((*oldest)->cluster() == 6);
    auto next = partial.own_oldest();
    CHECK((*next)->cluster() == 7);
    oldest->drop();
    CHECK_FALSE(partial.own_oldest());  // there is room
  }
  CHECK(partial.own_or_add(8));
  CHECK(partial.clusters(0, 100) == std::vector<uint64_t>{5, 7, 8});

  // A thread that wants one that another owns waits.
  std::atomic<bool> released = false;
  auto owned = partial.own(5);
  bool in_time = false;
  size_t known = 0;
  testing::WaitingThread other([&] {
    auto again = partial.own(5);
    in_time = released;
    known = (*again)->known().size();
  });
  CHECK(other.waits());
  released = true;
  { auto end = std::move(owned); }
  other.join();
  CHECK(in_time);
  CHECK(known == 2);
}

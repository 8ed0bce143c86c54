// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "plugins/qcow2/tables/claims.hpp"

using namespace qcow2;

namespace {

L2Cache empty_cache() {
  return L2Cache(64, 0, [](uint64_t, std::span<std::byte> buffer) {
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
  });
}

}  // namespace

TEST_CASE("an entry is claimed by one thread at a time") {
  L2Cache cache = empty_cache();
  for (Entry entry : {unallocated, zero_plain}) {
    cache.pin(0).release(5, entry);
    Claims second(cache.pin(0), 5);
    {
      Claims first(cache.pin(0), 5);
      CHECK(first.take_next());
      CHECK_FALSE(second.take_next());
      CHECK(second.count() == 0);
    }
    CHECK(cache.pin(0).value(5) == entry);  // not linked: as before
    CHECK(second.take_next());
    CHECK(second.old(5) == entry);
  }
}

TEST_CASE("a row of claims ends at data, at another thread's claim, and at the end of the slice") {
  L2Cache cache = empty_cache();
  cache.pin(0).release(10, data_entry(1 << 16));
  auto taken = [&](uint64_t first) {
    Claims claims(cache.pin(0), first);
    while (claims.take_next()) {
    }
    return claims.count();
  };
  CHECK(taken(7) == 3);
  CHECK(taken(10) == 0);
  Claims other(cache.pin(0), 20);
  REQUIRE(other.take_next());
  CHECK(taken(11) == 9);
  CHECK(taken(60) == 4);
}

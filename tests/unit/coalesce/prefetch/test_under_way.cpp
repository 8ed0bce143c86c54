// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <optional>

#include "filters/coalesce/prefetch/under_way.hpp"

using namespace coalesce;

namespace {

constexpr uint64_t K = 1u << 10, M = 1u << 20;

}  // namespace

TEST_CASE("the reads under way are counted, at the begin and at the end of each") {
  UnderWay reads(4 * M);
  std::optional<UnderWay::Read> first, second, third;
  first.emplace(reads, 512 * K);
  CHECK(first->parallel() == 1);
  second.emplace(reads, 64 * K);
  third.emplace(reads, 64 * K);
  CHECK(third->parallel() == 3);
  CHECK(first->parallel() == 2);
  second.reset();
  third.reset();
  CHECK(first->parallel() == 1);
}

TEST_CASE("a read among others of the other kind tells nothing") {
  UnderWay reads(4 * M);
  std::optional<UnderWay::Read> short_read, long_read, later;
  short_read.emplace(reads, 512 * K);
  CHECK(short_read->parallel() == 1);
  long_read.emplace(reads, 513 * K);
  CHECK(short_read->parallel() == 0);  // at its end
  CHECK(long_read->parallel() == 0);
  short_read.reset();
  CHECK(long_read->parallel() == 0);  // at its begin
  later.emplace(reads, 4 * M);
  CHECK(later->parallel() == 2);
}

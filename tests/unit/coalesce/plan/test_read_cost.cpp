// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/plan/read_cost.hpp"

using namespace coalesce;
using std::chrono::microseconds;
using std::chrono::nanoseconds;

namespace {

constexpr uint64_t K = 1u << 10, M = 1u << 20, chunk = 4 * M, any = ~uint64_t{0};

// Four reads at a time of a layer that has this latency, and for each of them as much bandwidth; MiB a second, 0: no limit.
void reads(ReadCost &cost, int count, uint64_t bytes, microseconds latency, uint64_t bandwidth) {
  const nanoseconds transfer(bandwidth == 0 ? 0 : bytes * 1'000'000'000 / (bandwidth * M));
  for (int i = 0; i < count; ++i) cost.add(bytes, latency + transfer, 4);
}

}  // namespace

TEST_CASE("a gap is worth reading if it takes no longer than one more read") {
  ReadCost cost(chunk, 4);
  reads(cost, 10, 64 * K, microseconds(2000), 128);
  reads(cost, 10, 4 * M, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() / K == Approx(262).margin(1));  // 2 ms of 128 MiB/s
}

TEST_CASE("what a gap costs is not known before eight short and eight long reads have told") {
  ReadCost cost(chunk, 4);
  CHECK(cost.worthwhile_gap() == any);
  reads(cost, 100, 2 * M, microseconds(2000), 128);
  reads(cost, 100, M, microseconds(2000), 128);  // neither long nor short
  reads(cost, 7, 512 * K, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() == any);
  reads(cost, 1, 512 * K, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() / K == Approx(262).margin(1));

  ReadCost small(chunk, 4);
  reads(small, 100, 64 * K, microseconds(2000), 128);
  reads(small, 7, 4 * M, microseconds(2000), 128);
  CHECK(small.worthwhile_gap() == any);
}

TEST_CASE("where reads take as long whatever their length, every gap is worth reading") {
  ReadCost cost(chunk, 4), faster(chunk, 4);
  reads(cost, 10, 64 * K, microseconds(5000), 0);
  reads(cost, 10, 4 * M, microseconds(5000), 0);
  CHECK(cost.worthwhile_gap() == any);
  reads(faster, 10, 64 * K, microseconds(5000), 0);
  reads(faster, 10, 4 * M, microseconds(4000), 0);
  CHECK(faster.worthwhile_gap() == any);
}

TEST_CASE("where a read costs nothing of its own, no gap is") {
  ReadCost cost(chunk, 4);
  reads(cost, 10, 64 * K, microseconds(0), 128);
  reads(cost, 10, 4 * M, microseconds(0), 128);
  CHECK(cost.worthwhile_gap() < K);
}

TEST_CASE("where reads wait for each other, the bytes are what costs") {
  // 2 ms each, and one link of 128 MiB/s for all: 16 at a time take as long as their bytes do.
  ReadCost cost(chunk, 4);
  for (int i = 0; i < 10; ++i) {
    cost.add(256 * K, microseconds(16 * 1953), 16);
    cost.add(4 * M, microseconds(16 * 31250), 16);
  }
  CHECK(cost.worthwhile_gap() < K);
}

TEST_CASE("reads that leave the layer idle, or are among those of the other kind, do not tell") {
  ReadCost cost(chunk, 4);
  for (unsigned parallel : {0u, 3u}) {
    for (int i = 0; i < 10; ++i) {
      cost.add(64 * K, microseconds(2000), parallel);
      cost.add(4 * M, microseconds(100'000), parallel);
    }
  }
  CHECK(cost.worthwhile_gap() == any);
  reads(cost, 10, 64 * K, microseconds(2000), 128);
  reads(cost, 10, 4 * M, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() / K == Approx(262).margin(1));
}

TEST_CASE("the latest reads count, and a few that are held up do not") {
  ReadCost cost(chunk, 4);
  reads(cost, 20, 64 * K, microseconds(2000), 128);
  reads(cost, 20, 4 * M, microseconds(2000), 128);
  reads(cost, 4, 4 * M, microseconds(500'000), 128);
  reads(cost, 4, 64 * K, microseconds(500'000), 128);
  CHECK(cost.worthwhile_gap() / K == Approx(262).margin(1));
  reads(cost, 16, 4 * M, microseconds(2000), 64);
  reads(cost, 16, 64 * K, microseconds(2000), 64);
  CHECK(cost.worthwhile_gap() / K == Approx(131).margin(1));
}

TEST_CASE("after eight long reads gaps are left out on trial, until eight short ones have told") {
  ReadCost cost(chunk, 4);
  reads(cost, 7, 4 * M, microseconds(2000), 128);
  CHECK_FALSE(cost.trial());
  reads(cost, 1, 4 * M, microseconds(2000), 128);
  CHECK(cost.trial());
  reads(cost, 7, 64 * K, microseconds(2000), 128);
  CHECK(cost.trial());
  reads(cost, 1, 64 * K, microseconds(2000), 128);
  CHECK_FALSE(cost.trial());
}

TEST_CASE("a trial ends where there are no short reads") {
  ReadCost cost(chunk, 4);
  reads(cost, 8 + 63, M * 3, microseconds(2000), 128);
  CHECK(cost.trial());
  reads(cost, 1, M * 3, microseconds(2000), 128);
  CHECK_FALSE(cost.trial());
  CHECK(cost.worthwhile_gap() == any);
}

TEST_CASE("what a gap costs is measured anew after 2 GiB") {
  ReadCost cost(chunk, 4);
  reads(cost, 8, 64 * K, microseconds(2000), 128);
  reads(cost, 511, 4 * M, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() / K == Approx(262).margin(1));
  reads(cost, 1, 4 * M, microseconds(2000), 128);
  CHECK(cost.worthwhile_gap() == any);
  reads(cost, 8, 4 * M, microseconds(2000), 128);
  CHECK(cost.trial());
}

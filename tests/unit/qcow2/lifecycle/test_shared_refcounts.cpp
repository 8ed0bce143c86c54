// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "plugins/qcow2/lifecycle/shared_refcounts.hpp"

using namespace qcow2;

TEST_CASE("references are counted for a part of the file at a time") {
  constexpr uint64_t clusters = 1000;
  std::mt19937_64 random(1);
  std::vector<uint64_t> references, counts(clusters);
  references.push_back(899);
  ++counts[899];
  for (int i = 0; i < 5000; ++i) {
    uint64_t cluster = random() % (i % 2 == 0 ? 900 : 20);
    references.push_back(cluster);
    ++counts[cluster];
  }
  for (uint64_t most : {1, 7, 100, 999, 1000, 4000}) {
    unsigned times = 0;
    auto all = [&](SharedRefcounts &shared) {
      ++times;
      for (uint64_t cluster : references) shared.add(cluster);
    };
    SharedRefcounts shared(clusters, all, most);
    all(shared);
    for (uint64_t c = 0; c < clusters; ++c) CHECK(shared.references(c) == counts[c]);
    CHECK(times == (900 + most - 1) / most);
    CHECK(shared.references(3) == counts[3]);
  }
}

TEST_CASE("where nothing is shared nothing is counted again") {
  SharedRefcounts none(
      10, [](SharedRefcounts &) { FAIL("counts what is not there"); }, 4);
  for (uint64_t c = 0; c < 30; ++c) CHECK(none.references(c) == 0);
}

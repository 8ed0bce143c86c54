// SPDX-License-Identifier: BSD-3-Clause
//
// The share of the blocks that apply-verify= compares.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "common/util/sample.hpp"

TEST_CASE("apply-verify= takes a percentage above 0 and at most 100") {
  CHECK(util::parse_percent("apply-verify", "100") == 1);
  CHECK(util::parse_percent("apply-verify", "5%") == Approx(0.05));
  CHECK(util::parse_percent("apply-verify", "0.01") == Approx(0.0001));
  for (const char *bad : {"", "0", "-1", "101", "x", "5x", "%", "nan", "inf", "5%%"}) {
    INFO(bad);
    CHECK_THROWS_WITH(util::parse_percent("apply-verify", bad), Catch::Contains("apply-verify="));
  }
}

// As the manual page says: k blocks that differ are found with the probability 1-(1-p)^k.
TEST_CASE("a lower percentage finds blocks that differ with the probability of the manual page",
          "[single]") {
  constexpr uint64_t blocks = 300;
  constexpr int seeds = 1000;
  struct Row {
    double share;
    int wrong;
  };
  for (auto [share, wrong] :
       {Row{0.01, 1}, Row{0.01, 50}, Row{0.1, 1}, Row{0.1, 10}, Row{0.5, 3}}) {
    int found = 0;
    uint64_t chosen_in_all = 0;
    for (int seed = 0; seed < seeds; ++seed) {
      std::mt19937_64 random(static_cast<uint64_t>(seed) + 1'000'000);
      std::vector<bool> differs(blocks);
      for (int left = wrong; left > 0;) {
        auto b = random() % blocks;
        if (!differs[b]) --left;
        differs[b] = true;
      }
      util::BlockSample choice(share, static_cast<uint64_t>(seed));
      bool hit = false;
      for (uint64_t b = choice.next(0); b < blocks; b = choice.next(b + 1)) {
        hit = hit || differs[b];
        ++chosen_in_all;
      }
      found += hit ? 1 : 0;
    }
    double expected = 1 - std::pow(1 - share, wrong);
    double deviation = std::sqrt(expected * (1 - expected) / seeds);
    INFO(share << " of the blocks, " << wrong << " wrong");
    CHECK(found / double{seeds} == Approx(expected).margin(5 * deviation));
    CHECK(static_cast<double>(chosen_in_all) / seeds == Approx(share * blocks).epsilon(0.1));
  }
}

// SPDX-License-Identifier: BSD-3-Clause
//
// A share of all blocks, chosen by chance: what apply-verify and fanout-verify look at.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace util {

// From "5", "0.1", "100%": a share, more than 0 and at most 1. Throws util::Error EINVAL naming the
// parameter.
double parse_percent(const std::string &key, const std::string &value);

// Each block, by itself, with the probability `share`. So if k blocks differ, one of them is found
// with the probability 1-(1-share)^k.
class Choice {
 public:
  Choice(double share, uint64_t seed) : share_(share), random_(seed) {}
  // The first chosen block at or after `block`. Ask in ascending order, beyond the last answer.
  uint64_t next(uint64_t block);

 private:
  const double share_;
  std::mt19937_64 random_;
};

}  // namespace util

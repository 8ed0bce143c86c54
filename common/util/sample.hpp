// SPDX-License-Identifier: BSD-3-Clause
//
// A random sample of the blocks of a disk: those that apply-verify and fanout-verify compare.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace util {

// From "5", "0.1", "100%": a share, more than 0 and at most 1. Throws util::Error EINVAL naming the
// parameter.
double parse_percent(const std::string &key, const std::string &value);

// Each block is in the sample with the probability `share`, independently of the others. If k blocks of
// a disk differ, at least one of them is in the sample with the probability 1-(1-share)^k.
class BlockSample {
 public:
  BlockSample(double share, uint64_t seed) : share_(share), random_(seed) {}
  // The first block of the sample at or after `block`. Each call must pass a larger number than the
  // last call returned.
  uint64_t next(uint64_t block);

 private:
  const double share_;
  std::mt19937_64 random_;
};

}  // namespace util

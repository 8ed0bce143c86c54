// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"

namespace coalesce {

struct Parameters {
  uint64_t gap = 1u << 20;
  uint64_t chunk = 4u << 20;
  uint64_t memory = 64u << 20;
  unsigned workers = 4;
  bool prefetch = true;
  bool merged = false;  // coalesce-extents
  std::vector<extents::Range> priority;
  std::string stats_path;

  static constexpr const char *help =
      "coalesce-gap=<SIZE>        Read along gaps up to this (default: 1M).\n"
      "coalesce-chunk=<SIZE>      Read at most this at a time, 64K to 32M (default: 4M).\n"
      "coalesce-workers=<N>       Read so many at a time ahead of the client (default: 4).\n"
      "coalesce-memory=<SIZE>     Limit of what is held in memory (default: 64M).\n"
      "coalesce-prefetch=on|off   Read ahead in the background (default: on).\n"
      "coalesce-priority=<RANGES> Read these first: OFFSET-END[,OFFSET-END...].\n"
      "coalesce-extents=exact|merged\n"
      "                           Whether clients see short gaps as data (default: exact).\n"
      "coalesce-stats=<FILE>      Counters for Prometheus.";

  // One of the command line. False: it is not ours. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // What does not go together. Throws util::Error EINVAL.
  void check() const;
};

}  // namespace coalesce

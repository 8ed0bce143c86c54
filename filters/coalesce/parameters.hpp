// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "filters/coalesce/settings.hpp"

namespace nbdkit {
struct BlockSize;
}

namespace coalesce {

struct Parameters {
  std::optional<uint64_t> gap;  // bytes; none: what pays, see Settings::measure_gap
  uint64_t chunk = 4u << 20;    // bytes
  uint64_t memory = 64u << 20;  // bytes
  unsigned workers = 4;
  bool prefetch = true;
  bool merged = false;  // coalesce-extents=merged
  std::vector<extents::Range> priority;
  std::string stats_path;

  static constexpr const char *help =
      "coalesce-gap=<SIZE>        Read gaps of up to this size with the data\n"
      "                           (default: those that pay, up to 1M).\n"
      "coalesce-chunk=<SIZE>      Largest read, 64K to 32M (default: 4M).\n"
      "coalesce-workers=<N>       Parallel reads ahead of clients (default: 4).\n"
      "coalesce-memory=<SIZE>     Limit of the memory for read-ahead (default: 64M).\n"
      "coalesce-prefetch=on|off   Read ahead in the background (default: on).\n"
      "coalesce-priority=<RANGES> Read these ranges first: OFFSET-END[,OFFSET-END...].\n"
      "coalesce-extents=exact|merged\n"
      "                           Show clients short gaps as data if merged (default: exact).\n"
      "coalesce-stats=<FILE>      Write counters in the text format of Prometheus.";

  // False: not a parameter of this filter. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // Checks that the parameters fit together. Throws util::Error EINVAL.
  void complete() const;

  // For an export of so many bytes. background: workers can read it.
  Settings settings(uint64_t size, const nbdkit::BlockSize &block, bool background) const;
};

}  // namespace coalesce

// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/parameters.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "common/nbdkit/filter.hpp"
#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"

namespace coalesce {

bool Parameters::set(const std::string &key, const std::string &value) {
  if (key == "coalesce-gap") {
    gap = nbdkit::parse_size(key, value, 0, uint64_t{1} << 40);
  } else if (key == "coalesce-chunk") {
    chunk = nbdkit::parse_size(key, value, 64u << 10, 32u << 20);
  } else if (key == "coalesce-workers") {
    workers = nbdkit::parse_unsigned(key, value, 1, 64);
  } else if (key == "coalesce-memory") {
    memory = nbdkit::parse_size(key, value, 64u << 10, uint64_t{1} << 40);
  } else if (key == "coalesce-prefetch") {
    prefetch = nbdkit::parse_bool(key, value);
  } else if (key == "coalesce-priority") {
    priority = nbdkit::parse_ranges(key, value);
  } else if (key == "coalesce-extents") {
    merged = nbdkit::parse_choice(key, value, {"exact", "merged"}) == 1;
  } else if (key == "coalesce-stats") {
    stats_path = nbdkit::absolute_path(value);
  } else {
    return false;
  }
  return true;
}

void Parameters::complete() const {
  if (memory < chunk) {
    util::fail(EINVAL,
               "coalesce-memory={}: must be at least coalesce-chunk, which is {} bytes; "
               "increase it or reduce the chunk size",
               memory, chunk);
  }
  uint64_t pinned = 0;  // bytes
  for (const auto &range : priority) pinned += range.length;
  if (pinned > 0 && !prefetch) {
    util::fail(EINVAL, "coalesce-priority requires coalesce-prefetch=on");
  }
  if (pinned > memory / 2) {
    util::fail(EINVAL,
               "coalesce-priority: the ranges have {} bytes; they may have at most half of "
               "coalesce-memory, which is {} bytes",
               pinned, memory / 2);
  }
}

Settings Parameters::settings(uint64_t size, const nbdkit::BlockSize &block,
                              bool background) const {
  Settings s;
  s.size = size;
  s.gap = gap.value_or(s.gap);
  s.measure_gap = !gap.has_value();
  s.block = std::bit_floor(std::max(block.minimum, 1u));
  s.chunk = chunk;
  if (block.maximum != 0) s.chunk = std::min<uint64_t>(s.chunk, block.maximum);
  s.chunk = std::max(s.chunk - s.chunk % s.block, s.block);
  s.workers = prefetch && background ? workers : 0;
  s.priority = priority;
  return s;
}

}  // namespace coalesce

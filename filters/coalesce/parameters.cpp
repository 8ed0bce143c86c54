// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/parameters.hpp"

#include <algorithm>
#include <cerrno>

#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"

namespace coalesce {

namespace {

// OFFSET-END[,OFFSET-END...]
std::vector<extents::Range> parse_ranges(const std::string &key, const std::string &value) {
  constexpr uint64_t most = INT64_MAX;
  std::vector<extents::Range> list;
  for (size_t at = 0; at <= value.size();) {
    const size_t comma = std::min(value.find(',', at), value.size());
    const std::string one = value.substr(at, comma - at);
    const size_t dash = one.find('-');
    if (dash == 0 || dash == std::string::npos || dash + 1 == one.size()) {
      util::fail(EINVAL, "{}={}: \"{}\" must be OFFSET-END, such as 0-1M", key, value, one);
    }
    uint64_t offset = nbdkit::parse_size(key, one.substr(0, dash), 0, most);
    uint64_t end = nbdkit::parse_size(key, one.substr(dash + 1), 0, most);
    if (end <= offset) {
      util::fail(EINVAL, "{}={}: \"{}\" must end after it begins", key, value, one);
    }
    list.push_back({offset, end - offset});
    at = comma + 1;
  }
  return list;
}

}  // namespace

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
    priority = parse_ranges(key, value);
  } else if (key == "coalesce-extents") {
    merged = nbdkit::parse_choice(key, value, {"exact", "merged"}) == 1;
  } else if (key == "coalesce-stats") {
    stats_path = nbdkit::absolute_path(value);
  } else {
    return false;
  }
  return true;
}

void Parameters::check() const {
  if (memory < chunk) {
    util::fail(EINVAL,
               "coalesce-memory={}: must be at least coalesce-chunk, which is {} bytes; give more "
               "memory or smaller chunks",
               memory, chunk);
  }
  uint64_t pinned = 0;  // bytes
  for (const auto &range : priority) pinned += range.length;
  if (pinned > 0 && !prefetch) {
    util::fail(EINVAL, "coalesce-priority needs coalesce-prefetch=on: leave one of them out");
  }
  if (pinned > memory / 2) {
    util::fail(EINVAL,
               "coalesce-priority: the ranges are {} bytes, at most half of coalesce-memory, {} "
               "bytes, can be kept for them",
               pinned, memory / 2);
  }
}

}  // namespace coalesce

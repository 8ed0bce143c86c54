// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbdkit/params.hpp"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/nbdkit/error.hpp"
#include "common/util/error.hpp"

namespace nbdkit {

namespace {

// "64K", "32M": a size as a person would write it.
std::string human_size(uint64_t bytes) {
  static constexpr const char *units[] = {"", "K", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + units[unit];
}

struct Free {
  void operator()(char *p) const { std::free(p); }
};
using CString = std::unique_ptr<char, Free>;

}  // namespace

void fail_unknown_parameter(const std::string &key, const std::string &module) {
  util::fail(EINVAL, "unknown parameter {}: see nbdkit-{}(1)", key, module);
}

uint64_t parse_size(const std::string &key, const std::string &value, uint64_t min, uint64_t max) {
  int64_t bytes = nbdkit_parse_size(value.c_str());
  if (bytes < 0 || static_cast<uint64_t>(bytes) < min || static_cast<uint64_t>(bytes) > max) {
    util::fail(EINVAL, "{}={}: must be a size between {} and {}", key, value, human_size(min),
               human_size(max));
  }
  return static_cast<uint64_t>(bytes);
}

bool parse_bool(const std::string &key, const std::string &value) {
  int r = nbdkit_parse_bool(value.c_str());
  if (r < 0) util::fail(EINVAL, "{}={}: must be on or off", key, value);
  return r != 0;
}

unsigned parse_unsigned(const std::string &key, const std::string &value, unsigned min,
                        unsigned max) {
  unsigned r = 0;
  if (nbdkit_parse_unsigned(key.c_str(), value.c_str(), &r) < 0 || r < min || r > max) {
    util::fail(EINVAL, "{}={}: must be a number between {} and {}", key, value, min, max);
  }
  return r;
}

uint64_t parse_seconds(const std::string &key, const std::string &value, uint64_t min_ms,
                       uint64_t max_ms) {
  char *end = nullptr;
  double seconds = std::strtod(value.c_str(), &end);
  double ms = seconds * 1000;
  if (end == value.c_str() || *end != '\0' || !std::isfinite(ms) ||
      ms < static_cast<double>(min_ms) || ms > static_cast<double>(max_ms)) {
    util::fail(EINVAL, "{}={}: must be a number of seconds between {:g} and {:g}", key, value,
               static_cast<double>(min_ms) / 1000, static_cast<double>(max_ms) / 1000);
  }
  return static_cast<uint64_t>(std::llround(ms));
}

std::chrono::milliseconds parse_timeout(const std::string &key, const std::string &value) {
  constexpr uint64_t shortest = 100, longest = 86'400'000;  // milliseconds
  return std::chrono::milliseconds(parse_seconds(key, value, shortest, longest));
}

size_t parse_choice(const std::string &key, const std::string &value,
                    std::initializer_list<std::string_view> words) {
  size_t place = 0;
  std::string allowed;
  for (std::string_view word : words) {
    if (value == word) return place;
    allowed += (place == 0 ? "" : place + 1 == words.size() ? " or " : ", ") + std::string(word);
    ++place;
  }
  util::fail(EINVAL, "{}={}: must be {}", key, value, allowed);
}

std::vector<extents::Range> parse_ranges(const std::string &key, const std::string &value) {
  constexpr uint64_t max_offset = INT64_MAX;
  std::vector<extents::Range> list;
  for (size_t at = 0; at <= value.size();) {
    const size_t comma = std::min(value.find(',', at), value.size());
    const std::string range = value.substr(at, comma - at);
    const size_t dash = range.find('-');
    if (dash == 0 || dash == std::string::npos || dash + 1 == range.size()) {
      util::fail(EINVAL, "{}={}: \"{}\" must be OFFSET-END, such as 0-1M", key, value, range);
    }
    uint64_t offset = parse_size(key, range.substr(0, dash), 0, max_offset);
    uint64_t end = parse_size(key, range.substr(dash + 1), 0, max_offset);
    if (end <= offset) {
      util::fail(EINVAL, "{}={}: \"{}\" must end after it begins", key, value, range);
    }
    list.push_back({offset, end - offset});
    at = comma + 1;
  }
  return list;
}

std::string read_password(const std::string &value) {
  char *raw = nullptr;
  if (nbdkit_read_password(value.c_str(), &raw) < 0) throw Reported{EINVAL};
  CString owned(raw);
  std::string password(raw);
  explicit_bzero(raw, password.size());
  const bool is_from_file = value.starts_with('+') || value.starts_with('-');
  if (is_from_file && password.ends_with('\r')) password.pop_back();
  return password;
}

std::string absolute_path(const std::string &value) {
  CString path(nbdkit_absolute_path(value.c_str()));
  if (!path) throw Reported{EINVAL};
  return path.get();
}

}  // namespace nbdkit

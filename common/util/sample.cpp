// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/sample.hpp"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "common/util/error.hpp"

namespace util {

double parse_percent(const std::string &key, const std::string &value) {
  char *end = nullptr;
  double percent = std::strtod(value.c_str(), &end);
  bool read = end != value.c_str();
  if (*end == '%') ++end;
  if (!read || *end != '\0' || !(percent > 0 && percent <= 100)) {
    fail(EINVAL, "{}={}: must be a percentage above 0 and at most 100", key, value);
  }
  return percent / 100;
}

// Between two chosen ones lies a number of blocks of the geometric distribution. It has no memory:
// where blocks are left out because they are in the delta, it may begin anew.
uint64_t BlockSample::next(uint64_t at) {
  if (share_ >= 1) return at;
  double u = std::generate_canonical<double, 53>(random_);
  double skip = std::floor(std::log1p(-u) / std::log1p(-share_));
  constexpr double most = 9e18;
  return skip < most ? at + static_cast<uint64_t>(skip) : UINT64_MAX / 2;
}

}  // namespace util

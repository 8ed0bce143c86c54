// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/parameters.hpp"

#include "common/nbdkit/params.hpp"

namespace delta {

bool Parameters::set(const std::string &key, const std::string &value) {
  if (key == "delta-owed") {
    settings.owed_path = nbdkit::absolute_path(value);
  } else if (key == "delta-zeroes") {
    settings.zeroes = Zeroes(nbdkit::parse_choice(key, value, {"zero", "data"}));
  } else {
    return false;
  }
  return true;
}

}  // namespace delta

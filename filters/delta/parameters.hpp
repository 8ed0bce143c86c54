// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <string>

#include "filters/delta/settings.hpp"

namespace delta {

struct Parameters {
  Settings settings;

  static constexpr const char *help =
      "delta-owed=<FILE>|<DIR>/   Also show what this state file, or a directory of\n"
      "                           state files, says is owed.\n"
      "delta-zeroes=zero|data     How to show what has become zero (default: zero).";

  // False: it is not one of these. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
};

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
//
// The filter's parameters. A part of the door.
#pragma once

#include <string>

#include "filters/apply/job/settings.hpp"

namespace apply {

struct Parameters {
  Settings settings;

  static constexpr const char *help =
      "apply-from=<URI>|<FILE>    (required) The delta view of the source, or its map as\n"
      "                           printed by nbdinfo --map --json.\n"
      "apply-state=<FILE>         (required) The state file of the destination.\n"
      "apply-destination=<NAME>   The name of the destination in the state file.\n"
      "apply-image=same|any       Whether another image than that of the state is accepted.\n"
      "apply-verify=<PERCENT>|off Compare this share of the unchanged blocks with the source\n"
      "                           (default: a handful of them).\n"
      "apply-digests=<FILE>       Keep digests of what the destination then holds here.\n"
      "apply-digests-parent=<FILE>   Those of the image below it.\n"
      "apply-stats=<FILE>         Write counters for Prometheus to this file.\n"
      "apply-connect-timeout=<SECONDS>   For connecting to the source (default: 10).\n"
      "apply-timeout=<SECONDS>    For each request to the source (default: 60).";

  // False: it is not one of these. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one. Throws util::Error EINVAL if a required one is missing.
  void complete() const;
};

}  // namespace apply

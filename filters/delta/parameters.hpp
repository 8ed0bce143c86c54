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
      "delta-zeroes=zero|data     How to show what has become zero (default: zero).\n"
      "delta-map=<URI>|<FILE>     What has changed: a server's map, or a list.\n"
      "delta-map-context=<NAME>   The map's metadata context: qemu:dirty-bitmap:NAME.\n"
      "delta-since=<NAME>         The checkpoint where the map begins.\n"
      "delta-checkpoint=<NAME>    The checkpoint that the disk shows.\n"
      "delta-digests=<FILE>       Compare with the digests of the last run, kept here.\n"
      "delta-disk=<NAME>          Names the disk in the state.\n"
      "delta-on-reset=full|fail   If the destination holds another checkpoint\n"
      "                           (default: full).\n"
      "delta-check=<FILE>         Compare what is read with these digests of an image.";

  // False: it is not one of these. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);

  // Called after the last set(). Throws util::Error EINVAL if one is missing, or two contradict each other.
  void complete();

 private:
  void complete_points();
  bool others_ = false;  // beside delta-check=
};

}  // namespace delta

// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "filters/delta/changes/load_changes.hpp"
#include "filters/delta/changes/mapped_source.hpp"
#include "filters/delta/delta_view.hpp"
#include "filters/delta/digests/digested_source.hpp"

namespace delta {

// What the parameters come to (nbdkit-delta-filter(1)).
struct Settings {
  std::string owed_path;  // a state file or a directory of them; empty: none
  Zeroes zeroes = Zeroes::zero;
  MapLocation map;  // what tells what has changed; empty: the layer below
  Points points;
  DigestSettings digests;  // path empty: none
  std::string check_path;  // digests that reads are compared with; empty: none
};

}  // namespace delta

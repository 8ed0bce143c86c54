// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "filters/delta/delta_view.hpp"

namespace delta {

// What the parameters come to (nbdkit-delta-filter(1)).
struct Settings {
  std::string owed_path;  // a state file or a directory of them; empty: none
  Zeroes zeroes = Zeroes::zero;
};

}  // namespace delta

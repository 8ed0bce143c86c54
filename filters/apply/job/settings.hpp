// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>
#include <string>

#include "filters/apply/source/reconnecting_pool.hpp"

namespace apply {

// What the parameters come to (nbdkit-apply-filter(1)).
struct Settings {
  std::string state_path;
  std::string destination = {};  // the name in the state; empty: none
  std::string source = {};       // a URI or a file, see make_source()
  Timeouts timeouts = {};
  // The share of blocks outside the delta that is compared; 0: none. Nothing: a handful of them, if the
  // source can be read.
  std::optional<double> verify = {};
  bool any_image = false;           // accept another image than that of the state
  std::string stats_path = {};      // empty: no statistics
  std::string digests_path = {};    // of the point that the run copies to; empty: none
  std::string digests_parent = {};  // of the point below it; empty: none
  // Not a parameter: whether threads of the filter may use a client's destination. False where
  // nbdkit does not allow parallel requests.
  bool background = true;
};

}  // namespace apply

// SPDX-License-Identifier: BSD-3-Clause
//
// The parameters that choose how the bytes get here.
#pragma once

#include <string>

namespace vsphere {

struct TransportSettings {
  enum class Kind { automatic, https, nbd };
  Kind kind = Kind::automatic;
  std::string nbd_uri;  // transport=nbd
};

// Refuses what does not fit together: util::Error EINVAL. `one_disk`: disk= was given.
void check(const TransportSettings &settings, bool one_disk);

}  // namespace vsphere

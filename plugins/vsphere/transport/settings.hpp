// SPDX-License-Identifier: BSD-3-Clause
//
// The parameters that choose how the bytes get here.
#pragma once

#include <string>

namespace vsphere {

struct TransportSettings {
  enum class Kind { automatic, vddk, https, nbd };
  Kind kind = Kind::automatic;
  std::string nbd_uri;  // transport=nbd

  // transport=vddk
  std::string libdir;  // where VDDK is; empty: the usual places
  enum class Compression { none, zlib, fastlz, skipz };
  Compression compression = Compression::none;  // between the host and VDDK
  // VDDK's own transports, in the order of trying. With its default it would first try the storage
  // network, and some versions crash with that and a snapshot.
  std::string vddk_transports = "nbdssl:nbd";
  std::string vddk_config;  // a file for VDDK; may be empty
  bool for_vddk = false;    // one of these was given
};

// Refuses what does not fit together: util::Error EINVAL. `one_disk`: disk= was given.
void check(const TransportSettings &settings, bool one_disk);

}  // namespace vsphere

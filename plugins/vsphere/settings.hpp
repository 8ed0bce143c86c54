// SPDX-License-Identifier: BSD-3-Clause
//
// What the plugin's parameters come to.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "plugins/vsphere/counters.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"

namespace vsphere {

enum class TransportKind { automatic, vddk, https, nbd };

// The parameters of transport=vddk.
struct VddkSettings {
  enum class Compression { none, zlib, fastlz, skipz };

  std::string libdir;                           // the directory of VDDK; empty: the usual places
  Compression compression = Compression::none;  // between the host and VDDK
  // VDDK's transport modes, in the order in which it tries them. VDDK's own default tries the storage
  // network first, and some versions crash with that and a snapshot.
  std::string transports = "nbdssl:nbd";
  std::string config;  // path of a configuration file for VDDK; empty: none
  bool given = false;  // one of these parameters was given
};

struct Settings {
  Endpoint endpoint;
  Credentials credentials;
  std::string vm;
  std::string disk;   // empty: all
  std::string since;  // see changes/since.hpp; its path is absolute
  bool fail_on_reset = false;
  bool use_tracking = true;  // false: nothing is known of what has changed
  bool enable_tracking = false;
  bool quiesce = false;
  std::string snapshot;  // "current" or a moref; empty: create one
  TransportKind transport = TransportKind::automatic;
  VddkSettings vddk;
  std::string nbd_uri;  // transport=nbd
  unsigned connections = 4;
  RetryPolicy retry;
  // How long the end may take if the server or VDDK does not answer. First the disks are closed, then the
  // snapshot is removed.
  std::chrono::milliseconds end_timeout{60'000};
  std::chrono::milliseconds time_to_close() const { return end_timeout / 3; }
  std::chrono::milliseconds time_to_remove() const { return end_timeout - time_to_close(); }
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
};

}  // namespace vsphere

// SPDX-License-Identifier: BSD-3-Clause
//
// What the plugin's parameters come to.
#pragma once

#include <memory>
#include <string>

#include "plugins/vsphere/counters.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/retry.hpp"
#include "plugins/vsphere/transport/settings.hpp"

namespace vsphere {

struct Settings {
  Endpoint endpoint;
  Credentials credentials;
  std::string vm;
  std::string disk;   // empty: all
  std::string since;  // see changes/since.hpp; its path is absolute
  bool fail_on_reset = false;
  bool enable_tracking = false;
  bool quiesce = false;
  std::string snapshot;  // "current" or a moref; empty: create one
  TransportSettings transport;
  unsigned connections = 4;
  RetryPolicy retry;
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
};

}  // namespace vsphere

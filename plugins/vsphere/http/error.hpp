// SPDX-License-Identifier: BSD-3-Clause
//
// Why a request failed, for a person.
#pragma once

#include <curl/curl.h>

#include <string>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

// What libcurl tells besides its code.
struct Outcome {
  const char *detail;  // in its own words
  std::string seen;    // the thumbprint of the certificate shown, if it was looked at
  bool connected;      // whether a connection stood, for a timeout that does not tell
};

TransportError explain(CURLcode code, const Outcome &outcome, const Endpoint &endpoint);

}  // namespace vsphere
